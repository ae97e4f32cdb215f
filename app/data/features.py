"""Columns as the tensors that a model takes, and its answers as columns."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from app.core.models import Manifest, TensorSpec
from app.core.tensors import FLOATS, Tensor, encode
from app.data.columns import Binding
from app.data.slices import BadRow, Slice
from app.runtime.arrays import DTYPES, Array, to_array

_INVALID: Final = "invalid_row"


def to_inputs(manifest: Manifest, binding: Binding, found: Slice) -> tuple[list[Tensor], Slice]:
    """The inputs of the rows that the model can take, and the slice with those rows only; the others are among its bad ones."""
    wrong, bad = np.zeros(found.table.num_rows, bool), list[BadRow]()
    arrays = []
    for spec, names in zip(manifest.inputs, binding.inputs, strict=True):
        values = np.empty((found.table.num_rows, len(names)), DTYPES[spec.datatype])
        for at, name in enumerate(names):
            values[:, at], unfit = _column(spec, found.table[name].combine_chunks())
            for place in np.flatnonzero(unfit & ~wrong).tolist():
                row = int(found.rows[place])
                bad.append(BadRow(row, _INVALID, _reason(spec, name, found.table[name][place].as_py()), found.line_of(row)))
            wrong |= unfit
        arrays.append(values)
    if bad:
        found = found.without(wrong, bad)
        arrays = [values[~wrong] for values in arrays]
    return [_tensor(spec, values) for spec, values in zip(manifest.inputs, arrays, strict=True)], found


def to_columns(manifest: Manifest, output: Tensor) -> dict[str, Any]:
    """One column named as the method, or one for each class or place."""
    values = to_array(output)
    if values.ndim == 1:
        return {output.name: pa.array(values)}
    flat = values.reshape(len(values), -1)
    return {name: pa.array(np.ascontiguousarray(flat[:, at])) for at, name in enumerate(_answers(manifest, output.name, flat.shape[1]))}


def _answers(manifest: Manifest, method: str, width: int) -> list[str]:
    of_classes = method in ("predict_proba", "decision_function") and len(manifest.classes) == width
    names = manifest.classes if of_classes else range(width)
    return [f"{method}_{name}" for name in names]


def _column(spec: TensorSpec, column: Any) -> tuple[Array, NDArray[np.bool_]]:
    """The values, and which of them the input cannot take."""
    missing = np.asarray(column.is_null(nan_is_null=False))
    if spec.datatype == "BYTES":
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        values = column.to_numpy(zero_copy_only=False)
        return np.where(missing, "", values), missing & (not spec.nullable)
    if pa.types.is_decimal(column.type) or pa.types.is_null(column.type):
        column = column.cast(pa.float64())
    dtype = DTYPES[spec.datatype]
    values = column.to_numpy(zero_copy_only=False)
    if values.dtype == object:  # truth values of which some are missing
        values = np.where(missing, np.nan, values).astype(float)
    if spec.datatype in FLOATS:
        with np.errstate(over="ignore"):
            values = values.astype(dtype, copy=False)
        return values, np.isinf(values) if spec.nullable else ~np.isfinite(values)
    with np.errstate(invalid="ignore"):
        whole = np.where(missing, 0, values).astype(dtype)
    return whole, missing | (whole != values)


def _reason(spec: TensorSpec, name: str, value: Any) -> str:
    if value is None or value != value:
        return f"{name!r} is missing, and the model takes no missing values"
    return f"{name!r} is {value!r}, which does not fit into {spec.datatype}"


def _tensor(spec: TensorSpec, values: Array) -> Tensor:
    shape = (len(values), *(values.shape[1:] if -1 in spec.shape[1:] else spec.shape[1:]))
    if spec.datatype == "BYTES":
        return Tensor(spec.name, "BYTES", shape, encode(values.ravel().tolist(), "BYTES"))
    # An empty view cannot be cast.
    return Tensor(spec.name, spec.datatype, shape, memoryview(values.data).cast("B") if values.size else b"")
