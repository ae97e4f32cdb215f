"""Tensors as NumPy arrays and back."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.core.errors import InvalidOutput
from app.core.models import TensorSpec
from app.core.tensors import MISSING_BOOL, Tensor, decode, encode

Array = NDArray[Any]

DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "BOOL": np.dtype("?"), "UINT8": np.dtype("u1"), "UINT16": np.dtype("<u2"), "UINT32": np.dtype("<u4"), "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"), "INT16": np.dtype("<i2"), "INT32": np.dtype("<i4"), "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"), "FP32": np.dtype("<f4"), "FP64": np.dtype("<f8"), "BYTES": np.dtype(object),
    "TIMESTAMP": np.dtype("<M8[us]"),
}  # fmt: skip
_DATATYPES: Final = {dtype.name: datatype for datatype, dtype in DTYPES.items()}


def datatype_of(dtype: np.dtype[Any]) -> str | None:
    """Return the datatype in a manifest: BYTES for text and objects, None for types without one, such as complex numbers."""
    if dtype.kind == "M":
        return "TIMESTAMP"
    return "BYTES" if dtype.kind in "OUST" else _DATATYPES.get(dtype.name)


def to_array(tensor: Tensor, *, nullable: bool = False) -> Array:
    """Return the values of a tensor in its shape.

    Numbers and timestamps share the tensor's memory, which may be read-only. BYTES become an array of objects: text, or bytes that are not
    UTF-8, and NaN for missing values (and for empty text if `nullable`). BOOL with missing values becomes an array of objects, too.
    """
    if tensor.datatype == "BOOL" and MISSING_BOOL in bytes(tensor.data):
        truths: list[Any] = [float("nan") if value is None else value for value in decode(tensor.data, "BOOL")]
        return np.array(truths, dtype=object).reshape(tensor.shape)
    if tensor.datatype != "BYTES":
        array: Array = np.frombuffer(tensor.data, DTYPES[tensor.datatype]).reshape(tensor.shape)
        # Compiled code refuses unaligned memory, which a binary body may have.
        return array if array.flags.aligned else array.copy()
    values = decode(tensor.data, "BYTES", nullable=nullable)
    array = np.empty(len(values), dtype=object)
    array[:] = [float("nan") if value is None else value for value in values]
    return array.reshape(tensor.shape)


def to_tensor(spec: TensorSpec, values: Any, rows: int) -> Tensor:
    """Return the output of a model as declared. Narrower numbers are widened; other differences raise InvalidOutput."""
    array = np.asarray(values.toarray() if hasattr(values, "toarray") else values)  # transformers may return sparse matrices
    shape = array.shape
    declared = (rows, *spec.shape[1:])
    if len(shape) != len(declared) or any(want not in (-1, have) for want, have in zip(declared, shape, strict=True)):
        raise InvalidOutput(f"Output {spec.name!r} has the shape {list(shape)} for {rows} rows, but {list(declared)} is declared.")
    if spec.datatype == "BYTES":
        wrong = next((type(value).__name__ for value in array.flat if not isinstance(value, str | bytes)), None)
        if wrong is not None:
            raise InvalidOutput(f"Output {spec.name!r} holds {wrong}, but text is declared (BYTES).")
        return Tensor(spec.name, "BYTES", shape, encode(array.ravel().tolist(), "BYTES"))
    wanted = DTYPES[spec.datatype]
    if array.dtype != wanted:
        times = array.dtype.kind == wanted.kind == "M"  # of any unit
        if not times and (array.dtype.kind not in "?iuf" or wanted.kind == "M" or not np.can_cast(array.dtype, wanted)):
            raise InvalidOutput(f"Output {spec.name!r} has the type {array.dtype}, but {spec.datatype} is declared.")
        array = array.astype(wanted)
    return Tensor(spec.name, spec.datatype, shape, array.tobytes())
