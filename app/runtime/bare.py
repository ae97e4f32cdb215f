"""Signatures of bare artifacts, which have no manifest: inferred by predicting generated rows.

The rows are generated from the attributes of the fitted estimator. The first rows that it predicts serve as its sample. An
estimator that predicts none of them cannot be served.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from app.core.errors import CeleriacError, ModelUnavailable, error_text
from app.core.models import TensorSpec
from app.runtime.arrays import Array
from app.runtime.methods import answers_of, specs_of
from app.runtime.signature import inputs_of_sample
from app.runtime.structure import column_names, example_labels, example_values, takes_documents, width
from app.runtime.unseen_rows import takes_missing

_ROWS: Final = 3
_NUMBERS: Final = (0.0, 1.0, 0.5)
"""Some estimators reject some of these: log(0) is undefined, for example."""


class Signature(NamedTuple):
    """The inputs and outputs of a bare estimator, and the sample that showed them with what it answered."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    frame: bool
    sample: Any
    answers: dict[str, Array]


def signature_of(estimator: Any, samples: Iterable[tuple[Any, Sequence[str]]] = ()) -> Signature:
    """Infer the signature. Raises ModelUnavailable if the estimator predicts none of the samples.

    `samples` are rows with the names of their columns, if the rows are an array (default: generated rows).
    """
    problem = ""
    for sample, columns in samples or ((sample, ()) for sample in _samples(estimator)):
        try:
            answers = answers_of(estimator, sample)
            inputs = inputs_of_sample(estimator, sample, columns)
        except CeleriacError as error:
            problem = problem or error.detail
            continue
        except Exception as error:  # noqa: BLE001 - pandas and NumPy raise many exceptions for rows that make no sample
            problem = problem or error_text(error)
            continue
        return Signature(_completed(estimator, inputs, sample), specs_of(answers), isinstance(sample, pd.DataFrame), sample, answers)
    raise ModelUnavailable(
        f"The artifact alone does not show which inputs {type(estimator).__name__} takes ({problem or 'it shows no columns'}). "
        "Publish it with a few sample rows: `celeriac models publish NAME FILE --sample rows.json`."
    )


def _completed(estimator: Any, inputs: tuple[TensorSpec, ...], sample: Any) -> tuple[TensorSpec, ...]:
    spec = inputs[0]
    if len(inputs) > 1 or len(spec.shape) != 2:
        return inputs
    if spec.datatype != "BYTES":
        spec = replace(spec, nullable=spec.nullable or takes_missing(estimator, sample))
    if width(estimator) is None and _answers_wider(estimator, sample):
        spec = replace(spec, shape=(-1, -1))
    return (spec,)


def _answers_wider(estimator: Any, sample: Any) -> bool:
    try:
        answers_of(estimator, np.concatenate([np.asarray(sample)] * 2, axis=1))
    except CeleriacError:
        return False
    return True


def _samples(estimator: Any) -> Iterator[Any]:
    """Yield candidate samples, the most likely first."""
    if takes_documents(estimator):
        yield ["a text", "another text", "text"]
        return
    if labels := example_labels(estimator):
        yield np.array(labels * _ROWS, dtype=object if isinstance(np.ravel(labels)[0], str) else None)
        return
    names, values = column_names(estimator), example_values(estimator)
    if not names:
        yield from _arrays(width(estimator) or 1, values)
        return
    for number in _NUMBERS:
        yield _frame(names, values, number)
    if any(isinstance(value, str) for value in values.values()):
        # Categories that were a type of the column.
        yield _frame(names, values, _NUMBERS[0]).apply(lambda column: column if column.dtype.kind in "fb" else column.astype("category"))


def _arrays(columns: int, values: dict[int, Any]) -> Iterator[Any]:
    if values and all(isinstance(values.get(at), str) for at in range(columns)):
        yield np.array([[values[at] for at in range(columns)]] * _ROWS, dtype=object)
        return
    for number in _NUMBERS:
        yield np.array([[_number(values.get(at, number)) for at in range(columns)]] * _ROWS)
    yield np.zeros(_ROWS)
    yield np.array(["text"] * _ROWS, dtype=object)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float | np.number) else float("nan")


def _frame(names: tuple[str, ...], values: dict[int, Any], number: float) -> pd.DataFrame:
    columns = [values.get(at, number) for at in range(len(names))]
    kinds = [value if isinstance(value, str | bool | np.bool_) else float(value) for value in columns]
    return pd.DataFrame(
        {at: pd.Series([value] * _ROWS, dtype=object if isinstance(value, str) else None) for at, value in enumerate(kinds)}
    ).set_axis(list(names), axis=1)
