"""Make the reference profile of a version from rows like those that it was trained with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.core.errors import CeleriacError
from app.core.models import Manifest, TensorSpec
from app.core.profiles import MAX_CATEGORIES, MAX_COLUMNS, MAX_ROWS, MIN_ROWS, ColumnProfile, Profile
from app.core.tensors import TIMESTAMP, Tensor
from app.runtime.arrays import Array
from app.runtime.bins import flat, open_above
from app.runtime.model import Model

log = logging.getLogger(__name__)
_MAX_BINS: Final = 20
_PER_BIN: Final = 20
"""Rows of the reference in a bin at least: the chi-square approximation of `app.data.drift` needs them."""
_DISCRETE: Final = 20
"""Different values up to which numbers are categories, because quantiles of them would be equal."""


def profile_of(model: Model, rows: Any, to_tensors: Callable[[Any], Sequence[Tensor]]) -> Profile | None:
    """Return the profile of rows and of what the served model predicts for them.

    None if they are too few. A version can be served without a profile, so rows that the model does not take are only logged.

    Args:
        model: The model as it is served.
        rows: An array, a list or a DataFrame. Of more than `MAX_ROWS`, evenly spaced ones are taken.
        to_tensors: Converts rows to the inputs of the model.
    """
    if len(rows) < MIN_ROWS or model.manifest.stream:
        return None
    if isinstance(rows, pd.DataFrame):
        names = [name for spec in model.manifest.inputs for name in spec.columns or (spec.name,)]
        # A file of the training has its target, too.
        rows = rows[names] if set(names) <= set(rows) else rows
    try:
        inputs = to_tensors(rows[:: -(-len(rows) // MAX_ROWS)])
        outputs = model.predict(inputs)
    except (CeleriacError, ValueError, TypeError, OverflowError) as error:
        log.warning("%s has no reference profile, because it cannot predict the rows: %s", model, error)
        return None
    left = MAX_COLUMNS
    sides = []
    for specs, tensors in ((model.manifest.outputs, outputs), (model.manifest.inputs, inputs)):
        named = {spec.name: spec for spec in specs}
        columns = tuple(column for tensor in tensors for column in _columns(model.manifest, named[tensor.name], tensor))[:left]
        left -= len(columns)
        sides.append(columns)
    of_outputs, of_inputs = sides
    return Profile(of_inputs, of_outputs) if of_inputs or of_outputs else None


def _columns(manifest: Manifest, spec: TensorSpec, tensor: Tensor) -> Iterator[ColumnProfile]:
    # Time passes, so a timestamp always drifts. A single number of an image or an embedding means nothing.
    if tensor.datatype == TIMESTAMP or (array := flat(tensor)).shape[1] > MAX_COLUMNS:
        return
    names = spec.columns or [f"{spec.name}_{label}" for label in manifest.classes_of([spec.name])]
    for at in range(array.shape[1]):
        name = names[at] if at < len(names) else spec.name if array.shape[1] == 1 else f"{spec.name}_{at}"
        described = _text(array[:, at]) if tensor.datatype == "BYTES" else _numbers(array[:, at].astype(np.float64))
        if described is not None:
            yield ColumnProfile(spec.name, at, str(name), **described)


def _text(values: Array) -> dict[str, Any] | None:
    texts = [value for value in values.tolist() if isinstance(value, str)]
    if not 0 < len(set(texts)) <= MAX_CATEGORIES:
        return None
    categories, counts = np.unique(np.array(texts, object), return_counts=True)
    missing = sum(value != value for value in values.tolist())
    return {"missing": missing, "counts": (*counts.tolist(), len(values) - missing - len(texts)), "categories": tuple(categories)}


def _numbers(values: NDArray[np.float64]) -> dict[str, Any] | None:
    numbers = values[np.isfinite(values)]
    if not len(numbers):
        return None
    figures = {"mean": numbers.mean(), "std": numbers.std(), "min": numbers.min(), "max": numbers.max()}
    described: dict[str, Any] = {name: float(figure) for name, figure in figures.items()} | {"missing": len(values) - len(numbers)}
    distinct, counts = np.unique(numbers, return_counts=True)
    if len(distinct) <= _DISCRETE:
        categories = tuple(int(value) if value.is_integer() else value for value in distinct.tolist())
        return described | {"counts": (*counts.tolist(), 0), "categories": categories}
    bins = max(2, min(_MAX_BINS, len(numbers) // _PER_BIN))
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, bins + 1)))
    counts = np.bincount(np.searchsorted(open_above(edges), numbers, side="right") - 1, minlength=len(edges) - 1)
    return described | {"counts": tuple(counts.tolist()), "edges": tuple(edges.tolist())}
