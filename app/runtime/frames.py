"""Conversion of DataFrame columns to the inputs of a model, and of tensors to the columns of its estimator.

The estimator gets what pandas would give it in the same process: missing integers make a column float64, missing Boolean
values make it object, text has NaN for missing values, and the types of pandas (Int64, category, str, datetime64) are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pandas as pd

from app.core.errors import InvalidInput
from app.core.models import Manifest, TensorSpec
from app.core.tensors import TIMESTAMP, Tensor
from app.core.values import RANGES
from app.runtime.arrays import Array, datatype_of, to_array

_MOST_CATEGORIES: Final = 10_000
"""Maximum number of categories in a manifest. A column with more gets those of the request."""
_DATE: Final = "date"
_NONE: Final = "object[None]"
"""A column of objects in which None is a missing value. scikit-learn treats None and NaN differently."""


class Frames:
    """The DataFrames of one model."""

    def __init__(self, manifest: Manifest) -> None:
        """Name the columns as the manifest does."""
        self._specs = manifest.inputs
        self._columns = pd.Index(manifest.inputs[0].columns or [spec.name for spec in manifest.inputs])

    def of(self, inputs: Sequence[Tensor]) -> pd.DataFrame:
        """Return the inputs of a prediction as the DataFrame that the estimator gets."""
        if len(inputs[0].shape) == 2:
            array = to_array(inputs[0], nullable=self._specs[0].empty_is_missing)
            return pd.DataFrame(array, columns=self._columns, copy=False)
        columns = (column_of(spec, tensor) for spec, tensor in zip(self._specs, inputs, strict=True))
        return pd.DataFrame(dict(zip(self._columns, columns, strict=True)), copy=False)


def spec_of(name: str, column: pd.Series, *, nullable: bool = False) -> TensorSpec:
    """Return the input spec for a column of a sample. Raises InvalidInput for values without a datatype."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        of = spec_of(name, pd.Series(dtype.categories), nullable=nullable)
        categories = tuple(dtype.categories.tolist()) if len(dtype.categories) <= _MOST_CATEGORIES and of.datatype != TIMESTAMP else ()
        return TensorSpec(name, of.datatype, (-1,), nullable=nullable, dtype="category", categories=categories)
    if isinstance(dtype, pd.DatetimeTZDtype) or dtype.kind == "M":
        return TensorSpec(name, TIMESTAMP, (-1,), nullable=nullable, dtype=str(dtype))
    if isinstance(dtype, pd.StringDtype):
        return TensorSpec(name, "BYTES", (-1,), nullable=nullable, dtype=str(dtype))
    if pd.api.types.is_extension_array_dtype(dtype):
        datatype = datatype_of(getattr(dtype, "numpy_dtype", np.dtype("V")))
        if datatype is None:
            raise _unknown(name, dtype)
        return TensorSpec(name, datatype, (-1,), nullable=nullable, dtype=str(dtype))
    if dtype.kind == "O":
        return _spec_of_objects(name, column, nullable=nullable)
    datatype = datatype_of(np.dtype(dtype))
    if datatype is None:
        raise _unknown(name, dtype)
    return TensorSpec(name, datatype, (-1,), nullable=nullable)


def tensor_of(spec: TensorSpec, column: pd.Series) -> Tensor:
    """Return a column as the tensor that a caller would send. Raises InvalidTensor for a value that does not fit."""
    values: list[Any] = [None if _missing(value) else _plain(value) for value in column.tolist()]
    return spec.tensor(values, (len(values),))


def column_of(spec: TensorSpec, tensor: Tensor) -> Any:
    """Return the values of a tensor as the column of a DataFrame."""
    if spec.datatype == TIMESTAMP:
        return _times(spec, to_array(tensor))
    values = to_array(tensor, nullable=spec.empty_is_missing)
    if spec.dtype == _NONE:
        return pd.Series(np.where(pd.isna(values), np.array(None), values.astype(object)), dtype=object)
    if spec.dtype == "object":
        return pd.Series(values, dtype=object)  # otherwise pandas would convert text to its string type
    if not spec.dtype:
        return values
    if spec.dtype == "category":
        return _categories(spec, values)
    if spec.dtype not in ("str", "string"):  # Int64, boolean, Float64: from objects, because pandas accepts their missing values
        whole = spec.datatype in RANGES
        plain: list[Any] = [None if _missing(value) else int(value) if whole else value for value in values.tolist()]
        return pd.array(plain, dtype=spec.dtype)
    return pd.array(values, dtype=spec.dtype)


def with_missing(column: pd.Series) -> pd.Series:
    """Return a column of one row with a missing value in the representation of pandas."""
    first = column.iloc[:1]
    if first.dtype.kind in "iu" and not pd.api.types.is_extension_array_dtype(first.dtype):
        return pd.Series([np.nan], index=first.index, name=first.name)
    if first.dtype == bool:
        return pd.Series([np.nan], index=first.index, name=first.name, dtype=object)
    if first.dtype.kind == "O" and not pd.api.types.is_extension_array_dtype(first.dtype):
        return pd.Series([None if _has_none(column) else np.nan], index=first.index, name=first.name, dtype=object)
    missing = first.copy()
    missing.iloc[0] = pd.NA if pd.api.types.is_extension_array_dtype(first.dtype) else np.nan
    return missing


def _spec_of_objects(name: str, column: pd.Series, *, nullable: bool) -> TensorSpec:
    kinds = {type(value) for value in column if not _missing(value)}
    if all(issubclass(kind, str | bytes) for kind in kinds):
        return TensorSpec(name, "BYTES", (-1,), nullable=nullable, dtype=_NONE if _has_none(column) else "object")
    if all(issubclass(kind, bool | np.bool_) for kind in kinds):
        return TensorSpec(name, "BOOL", (-1,), nullable=nullable, dtype=_NONE if _has_none(column) else "")
    if all(issubclass(kind, int | np.integer) and kind is not bool for kind in kinds):
        return TensorSpec(name, "INT64", (-1,), nullable=nullable)
    if all(issubclass(kind, int | float | Decimal | np.number) and kind is not bool for kind in kinds):
        return TensorSpec(name, "FP64", (-1,), nullable=nullable)
    if all(issubclass(kind, datetime) for kind in kinds):
        zones = {value.tzinfo is not None for value in column if not _missing(value)}
        if len(zones) == 1:
            return TensorSpec(
                name, TIMESTAMP, (-1,), nullable=nullable, dtype="datetime64[us, UTC]" if zones == {True} else "datetime64[us]"
            )
    elif all(issubclass(kind, date) and not issubclass(kind, datetime) for kind in kinds):
        return TensorSpec(name, TIMESTAMP, (-1,), nullable=nullable, dtype=_DATE)
    raise _unknown(name, " and ".join(sorted(kind.__name__ for kind in kinds)))


def _times(spec: TensorSpec, times: Array) -> Any:
    if spec.dtype == _DATE:
        dates = times.astype("M8[D]").astype(object)
        dates[np.isnat(times)] = pd.NaT
        return pd.Series(dates, dtype=object)
    if spec.zoned:
        return pd.DatetimeIndex(times).tz_localize("UTC").astype(spec.dtype)
    return times.astype(spec.dtype.replace("datetime64", "M8") or "M8[us]")


def _categories(spec: TensorSpec, values: Array) -> Any:
    """Return a categorical of the recorded categories, followed by new ones, so that the recorded ones keep their codes."""
    if not spec.categories:
        return pd.Categorical(values)
    present = values[~pd.isna(values)]
    new = sorted(set(present.tolist()) - set(spec.categories))
    return pd.Categorical(values, categories=[*spec.categories, *new])


def _has_none(column: pd.Series) -> bool:
    return any(value is None for value in column)


def _plain(value: Any) -> Any:
    if isinstance(value, pd.Timestamp):
        if value.nanosecond:
            raise InvalidInput(f"The timestamp {value} is more precise than a microsecond.", pointer="/sample")
        return value.to_pydatetime()
    return value.item() if isinstance(value, np.generic) else value


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float | Decimal) and value != value)


def _unknown(name: str, kind: Any) -> InvalidInput:
    detail = f"Column {name!r} holds values of the type {kind}, which has no datatype. Convert it to numbers, Boolean values, text or timestamps."
    return InvalidInput(detail, pointer="/sample")
