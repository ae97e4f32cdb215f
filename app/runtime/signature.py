"""Conversion of sample rows to the inputs of a model."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from app.core.errors import InvalidInput
from app.core.models import TensorSpec
from app.core.tensors import Tensor, encode
from app.runtime.arrays import DTYPES, Array, datatype_of
from app.runtime.frames import spec_of, tensor_of, with_missing
from app.runtime.methods import call, methods_of

INPUT: Final = "input"


def inputs_of_sample(estimator: Any, sample: Any, columns: Sequence[str] = ()) -> tuple[TensorSpec, ...]:
    """Return one input for an array or a DataFrame of one number type (as FP32 if it is that, else FP64), else one per column.

    An input is nullable if the sample has missing values in it, or if the estimator predicts rows with missing numbers.
    Raises InvalidInput for values without a datatype.
    """
    if isinstance(sample, pd.DataFrame):
        names = [str(column) for column in sample]
        specs = [spec_of(name, sample.iloc[:, at]) for at, name in enumerate(names)]
        kinds = {(spec.datatype, spec.dtype) for spec in specs}
        if len(kinds) > 1 or any(dtype for _, dtype in kinds):
            return tuple(replace(spec, nullable=_nullable(estimator, sample, at)) for at, spec in enumerate(specs))
        columns = names
    array = _array(sample)
    if columns and (array.ndim != 2 or len(columns) != array.shape[1]):
        raise InvalidInput(f"{len(columns)} column names do not match a sample of the shape {list(array.shape)}.", pointer="/columns")
    if array.ndim == 2 and not columns:
        columns = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
    datatype = _datatype(array, INPUT)
    if datatype not in ("BYTES", "BOOL", "FP32"):
        datatype = "FP64"  # what scikit-learn computes in; a caller may send any narrower number
    return (TensorSpec(INPUT, datatype, (-1, *array.shape[1:]), tuple(columns), nullable=_nullable(estimator, sample, None)),)


def tensors_of_sample(specs: Sequence[TensorSpec], sample: Any) -> list[Tensor]:
    """Return the sample as the tensors that a caller would send."""
    if isinstance(sample, pd.DataFrame) and all(len(spec.shape) == 1 for spec in specs):
        return [tensor_of(spec, sample.iloc[:, at]) for at, spec in enumerate(specs)]
    array = _array(sample)
    return [Tensor(specs[0].name, specs[0].datatype, array.shape, _raw(specs[0], array))]


def _datatype(array: Array, name: str) -> str:
    datatype = datatype_of(array.dtype)
    if datatype == "BYTES" and not all(isinstance(value, str | bytes) or _missing(value) for value in array.flat):
        datatype = None
    if datatype is None:
        detail = f"{name!r} holds values of the type {array.dtype}, which has no datatype. Convert them to numbers, Boolean values or text."
        raise InvalidInput(detail, pointer="/sample")
    return datatype


def _array(sample: Any) -> Array:
    """Return a sample as an array. Numbers that are objects in pandas or JSON (Decimal, None if missing) become floats."""
    array = np.asarray(sample)
    if array.dtype == object and array.size and not any(isinstance(value, str | bytes | bool) for value in array.flat):
        with suppress(TypeError, ValueError):
            return np.where(pd.isna(array), np.nan, array).astype(float)
    return array


def _nullable(estimator: Any, sample: Any, at: int | None) -> bool:
    part = sample if at is None else sample.iloc[:, at]
    if pd.isna(part).to_numpy().any() if hasattr(part, "to_numpy") else pd.isna(part).any():
        return True
    if at is None:
        if _array(part).dtype.kind not in "fiu":
            return False
        probe = _array(sample)[:1] * np.nan
        if isinstance(sample, pd.DataFrame):
            probe = pd.DataFrame(probe, columns=sample.columns)
    else:
        probe = sample[:1].copy()
        probe[probe.columns[at]] = with_missing(sample.iloc[:, at])
    try:
        call(estimator, methods_of(estimator)[0], probe)
    except Exception:  # noqa: BLE001 - any exception means that it rejects them
        return False
    return True


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)


def _raw(spec: TensorSpec, array: Array) -> bytes:
    if spec.datatype == "BYTES":
        return encode([None if _missing(value) else value for value in array.ravel().tolist()], "BYTES", nullable=spec.nullable)
    return array.astype(DTYPES[spec.datatype]).tobytes()
