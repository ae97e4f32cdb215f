"""From a fitted estimator to a version in the repository."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
import onnxruntime
import pandas as pd
import sklearn
import skops
import skops.io
from skops.io.exceptions import UntrustedTypesFoundException

from app.core.errors import InvalidInput
from app.core.models import FORMATS, BatchLimits, Golden, Manifest, RetryPolicy, TensorSpec
from app.core.tensors import FLOATS, Tensor, as_json, decode
from app.registry.repository import EXAMPLES, Repository
from app.runtime.arrays import to_tensor
from app.runtime.compiled import ANSWERS, write_onnx
from app.runtime.loading import READERS
from app.runtime.model import Model
from app.runtime.signature import classes_of, inputs_of_sample, outputs_of_sample, tensors_of_sample

GOLDEN_ROWS: Final = 3
CHECKED_ROWS: Final = {"onnx": 10_000}
"""Rows of the sample that what is served must answer as the estimator does, by format; 100 for the others."""


def publish(
    repository: Repository,
    estimator: Any,
    name: str,
    *,
    sample: Any,
    columns: Sequence[str] = (),
    version: str | None = None,
    # Not joblib: loading a skops file runs no code that it holds, so it is served under every setting.
    format: str = "skops",
    description: str = "",
    metrics: Mapping[str, float] | None = None,
    examples: Sequence[Mapping[str, Any]] = (),
    pool: str = "default",
    batch: BatchLimits | None = None,
    retries: RetryPolicy | None = None,
    time_limit_s: float = 30.0,
    promote: str | None = None,
    tolerance: float = 1e-6,
    provenance: Mapping[str, Any] | None = None,
    reading: Mapping[str, Any] | None = None,
) -> Manifest:
    """A new version, which `promote` names an alias for. It answers the sample as the estimator in memory does, or is refused.

    `sample` is an array or DataFrame of a few rows such as a caller sends; `columns` names an array's features;
    `tolerance` is how far, absolutely and relatively, a number may be from the estimator's own; give a compiled model (`onnx`) a
    thousand real rows or more to be compared on. `provenance` says where it comes from; with a `job` in it, that job publishes once. `reading` holds the table options that its file was read with, which batches take as their own. `examples` are rows for people to try, `{"input": row or record, "label": the truth}`.
    Raises InvalidInput where the estimator or the sample will not do, ModelConflict where the version exists.
    """
    if format not in READERS:
        raise InvalidInput(f"{format!r} is no format that can be published; one of {', '.join(READERS)}", pointer="/format")
    sample = (sample if isinstance(sample, pd.DataFrame) else np.asarray(sample))[: CHECKED_ROWS.get(format, 100)]
    if not len(sample):
        raise InvalidInput("the sample is empty: give a few rows such as callers send", pointer="/sample")
    inputs, outputs = inputs_of_sample(estimator, sample, columns), outputs_of_sample(estimator, sample)
    if format == "onnx":
        if len(inputs) > 1 or inputs[0].datatype == "BYTES":
            raise InvalidInput("only models of one numeric input are compiled: publish this one as skops or joblib", pointer="/format")
        outputs = tuple(spec for spec in outputs if spec.name in ANSWERS)
    described = Manifest(
        name, version or "", format, FORMATS[format], "", inputs, outputs, framework=_framework(), classes=classes_of(estimator),
        metrics=dict(metrics or {}), description=description, pool=pool, batch=batch or BatchLimits(), retries=retries or RetryPolicy(),
        time_limit_s=time_limit_s, golden=_golden(estimator, inputs, outputs, sample[:GOLDEN_ROWS], tolerance),
        provenance=dict(provenance or {}), reading=dict(reading or {}),
    )  # fmt: skip

    def write(folder: Path) -> Manifest:
        path = folder / described.artifact
        try:
            WRITERS[format](estimator, path)
            with path.open("rb") as file:
                served = READERS[format](file)
            Model(replace(described, golden=_golden(estimator, inputs, outputs, sample, tolerance)), served).verify()
        except OSError:  # of the disk, not of the estimator
            raise
        except Exception as error:
            hint = (
                "; nobody has reviewed these types: publish with format='joblib'" if isinstance(error, UntrustedTypesFoundException) else ""
            )
            raise InvalidInput(
                f"{type(estimator).__name__} cannot be served from {path.name}: {str(error)[:2000]}{hint}", pointer="/estimator"
            ) from error
        if examples:
            (folder / EXAMPLES).write_text(json.dumps([dict(one) for one in examples], indent=1, allow_nan=False) + "\n")
        return described

    manifest = repository.publish(name, write, version=version, job=str(described.provenance.get("job", "")))
    if promote:
        repository.promote(name, promote, manifest.version)
    return manifest


WRITERS: Final[dict[str, Callable[[Any, Path], Any]]] = {"onnx": write_onnx, "skops": skops.io.dump, "joblib": joblib.dump}


def _golden(estimator: Any, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], sample: Any, tolerance: float) -> Golden:
    """What the estimator in memory answers to the sample."""
    rows = len(sample)
    asked = {tensor.name: values_of(tensor) for tensor in tensors_of_sample(inputs, sample)}
    answers = {spec.name: values_of(to_tensor(spec, getattr(estimator, spec.name)(sample), rows)) for spec in outputs}
    return Golden(rows, asked, answers, tolerance)


def values_of(tensor: Tensor) -> list[Any]:
    """Flat, as a golden sample holds them."""
    values = decode(tensor.data, tensor.datatype)
    return [None if value != value else value for value in values] if tensor.datatype in FLOATS else list(map(as_json, values))


def _framework() -> dict[str, str]:
    return {
        "python": platform.python_version(), "scikit-learn": sklearn.__version__, "numpy": np.__version__,
        "pandas": pd.__version__, "skops": skops.__version__, "joblib": joblib.__version__, "onnxruntime": onnxruntime.__version__,
    }  # fmt: skip
