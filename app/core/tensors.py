"""Tensors as they travel: little-endian bytes, row-major, with a name, a datatype and a shape.

Datatypes and the raw form are those of the Open Inference Protocol v2 and its binary tensor extension: BOOL is a byte
an element; BYTES is, for each element, its length (4 bytes, little-endian, unsigned) and its bytes. The first
dimension counts rows. Only the standard library: an API process needs no NumPy, a worker reads the bytes without a copy.
"""

from __future__ import annotations

import base64
import math
import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.core.errors import InvalidTensor, shown

Buffer = bytes | bytearray | memoryview

ITEM_SIZE: Final = {
    "BOOL": 1, "UINT8": 1, "UINT16": 2, "UINT32": 4, "UINT64": 8, "INT8": 1, "INT16": 2, "INT32": 4, "INT64": 8,
    "FP16": 2, "FP32": 4, "FP64": 8,
}  # fmt: skip
DATATYPES: Final = (*ITEM_SIZE, "BYTES")
FLOATS: Final = ("FP16", "FP32", "FP64")
_ARRAY_CODE: Final = {
    "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q",
    "FP32": "f", "FP64": "d",
}  # fmt: skip
_NARROW: Final = {"FP16": "e", "FP32": "f"}
_NAN: Final = float("nan")
MAX_RANK: Final = 64
"""Dimensions of a tensor, as in NumPy 2."""
MAX_ELEMENTS: Final = (1 << 63) - 1
"""Elements of a tensor, as many as ONNX and NumPy can count."""

if sys.byteorder != "little":  # pragma: no cover
    raise ImportError("tensors are kept as little-endian bytes; this machine is big-endian")


@dataclass(slots=True)
class Tensor:
    """A named array: `shape` counts elements a dimension, `data` holds them as raw little-endian bytes."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Buffer

    @property
    def rows(self) -> int:
        return self.shape[0] if self.shape else 1


def size_of(shape: Iterable[int]) -> int:
    """The number of elements of a shape."""
    return math.prod(shape)


def checked_shape(shape: Any, pointer: str) -> tuple[int, ...]:
    """Return the shape that a caller sent, as a tuple.

    Raises InvalidTensor unless it is a list of at most `MAX_RANK` whole numbers and describes at most `MAX_ELEMENTS` elements.
    Read every shape with it before anything multiplies its dimensions: the product of 60,000 of them takes seconds.
    """
    if not isinstance(shape, list):
        raise InvalidTensor(f"shape must be a list of whole numbers, not {shown(shape)}", pointer=pointer)
    if len(shape) > MAX_RANK:
        raise InvalidTensor(f"shape has {len(shape)} dimensions: a tensor has at most {MAX_RANK}", pointer=pointer)
    if not all(type(size) is int and 0 <= size < 1 << 31 for size in shape):
        raise InvalidTensor(f"shape must be a list of whole numbers from 0 to {(1 << 31) - 1}, not {shown(shape)}", pointer=pointer)
    if size_of(shape) > MAX_ELEMENTS:
        raise InvalidTensor(f"the shape {shown(shape)} has more than {MAX_ELEMENTS} elements", pointer=pointer)
    return tuple(shape)


def is_binary(value: Any) -> bool:
    """Is it `{"b64": …}`, which stands in JSON for bytes that are no text?"""
    return isinstance(value, dict) and value.keys() == {"b64"}


def as_json(value: Any) -> Any:
    """A decoded value as JSON knows it: bytes as `{"b64": …}`."""
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def encode(values: Sequence[Any], datatype: str, *, nullable: bool = False, pointer: str = "") -> bytes:
    """Flat Python values as raw bytes. `None` becomes NaN (an empty string for BYTES) where `nullable`, else an error."""
    if None in values:
        if not nullable or (datatype not in FLOATS and datatype != "BYTES"):
            raise InvalidTensor("a value is null, and this input takes no missing values", pointer=_at(pointer, values.index(None)))
        values = [(b"" if datatype == "BYTES" else _NAN) if value is None else value for value in values]
    if datatype == "BYTES":
        return _encode_bytes(values, pointer)
    if datatype == "BOOL":
        return bytes(_checked(value, bool, datatype, _at(pointer, index)) for index, value in enumerate(values))
    # A bool is an int to Python, and would pass for a number unseen.
    if True in values or False in values:
        _no_bools(values, datatype, pointer)
    try:
        # An array takes what is too large for FP32 as an infinity.
        if datatype in _NARROW:
            return struct.pack(f"<{len(values)}{_NARROW[datatype]}", *values)
        return array(_ARRAY_CODE[datatype], values).tobytes()
    except (TypeError, OverflowError, ValueError, struct.error):
        raise _first_wrong(values, datatype, pointer) from None


def decode(data: Buffer, datatype: str, *, nullable: bool = False) -> list[Any]:
    """Raw bytes as flat Python values: BYTES as text where it is UTF-8, else as bytes."""
    if datatype == "BYTES":
        found: list[Any] = []
        for element in elements(data):
            found.append(_text(element))
        return [None if nullable and value == "" else value for value in found]
    if datatype == "BOOL":
        return [byte != 0 for byte in bytes(data)]
    if datatype == "FP16":
        return list(struct.unpack(f"<{len(data) // 2}e", data))
    values = array(_ARRAY_CODE[datatype])
    values.frombytes(data)
    return values.tolist()


def elements(data: Buffer) -> list[bytes]:
    """The elements of a raw BYTES tensor. Raises InvalidTensor where a length runs past the end."""
    found: list[bytes] = []
    at, view = 0, memoryview(data)
    while at < len(view):
        if at + 4 > len(view):
            raise InvalidTensor("the BYTES tensor is cut off inside the length of an element")
        (size,) = struct.unpack_from("<I", view, at)
        if at + 4 + size > len(view):
            raise InvalidTensor(f"the BYTES tensor is cut off inside element {len(found)}, which says it has {size} bytes")
        found.append(bytes(view[at + 4 : at + 4 + size]))
        at += 4 + size
    return found


def check_size(tensor: Tensor, pointer: str = "") -> None:
    """Raises InvalidTensor unless `data` holds exactly what `datatype` and `shape` say."""
    count = size_of(tensor.shape)
    if tensor.datatype == "BYTES":
        found = len(elements(tensor.data))
    else:
        found, rest = divmod(len(tensor.data), ITEM_SIZE[tensor.datatype])
        if rest:
            raise InvalidTensor(f"{len(tensor.data)} bytes are no whole number of {tensor.datatype} elements", pointer=pointer or None)
    if found != count:
        raise InvalidTensor(f"the data holds {found} elements, the shape {list(tensor.shape)} says {count}", pointer=pointer or None)


def has_missing(tensor: Tensor) -> bool:
    """Does a float tensor hold NaN or an infinity?"""
    if tensor.datatype not in FLOATS:
        return False
    values: Sequence[float]
    if tensor.datatype == "FP16":
        values = decode(tensor.data, "FP16")
    else:
        values = memoryview(tensor.data).cast("B").cast(_ARRAY_CODE[tensor.datatype])  # type: ignore[call-overload]
    # A finite sum proves that all are finite; a sum may also overflow, so only then look at each.
    return not math.isfinite(sum(values)) and not all(map(math.isfinite, values))


def concatenate(parts: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Joins the inputs of several jobs row-wise. All have the same names, datatypes and trailing dimensions."""
    if len(parts) == 1:
        return list(parts[0])
    joined = []
    for same in zip(*parts, strict=True):
        first = same[0]
        shape = (sum(tensor.rows for tensor in same), *first.shape[1:])
        joined.append(Tensor(first.name, first.datatype, shape, b"".join(tensor.data for tensor in same)))
    return joined


def split(tensors: Sequence[Tensor], rows: Sequence[int]) -> list[list[Tensor]]:
    """The inverse of `concatenate`: job i gets the next `rows[i]` rows of every tensor."""
    if len(rows) == 1:
        return [list(tensors)]
    parts: list[list[Tensor]] = [[] for _ in rows]
    for tensor in tensors:
        view, at = memoryview(tensor.data), 0
        for part, count in zip(parts, rows, strict=True):
            end = at + _length(view[at:], tensor, count)
            part.append(Tensor(tensor.name, tensor.datatype, (count, *tensor.shape[1:]), view[at:end]))
            at = end
    return parts


def _length(view: memoryview, tensor: Tensor, rows: int) -> int:
    count = rows * size_of(tensor.shape[1:])
    if tensor.datatype != "BYTES":
        return count * ITEM_SIZE[tensor.datatype]
    at = 0
    for _ in range(count):
        at += 4 + int(struct.unpack_from("<I", view, at)[0])
    return at


def _encode_bytes(values: Sequence[Any], pointer: str) -> bytes:
    found = bytearray()
    for index, value in enumerate(values):
        element = _from_b64(value, _at(pointer, index)) if is_binary(value) else value
        if not isinstance(element, str | bytes):
            raise InvalidTensor(f'{shown(value)} is no string and no {{"b64": "…"}}, as BYTES wants', pointer=_at(pointer, index))
        element = element.encode() if isinstance(element, str) else element
        found += struct.pack("<I", len(element)) + element
    return bytes(found)


def _from_b64(value: dict[str, Any], pointer: str) -> bytes:
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (TypeError, ValueError) as error:
        raise InvalidTensor(f"b64 must be a string in base64: {error}", pointer=pointer) from None


def _text(element: bytes) -> str | bytes:
    try:
        return element.decode()
    except UnicodeDecodeError:
        return element


def _checked(value: Any, kind: type, datatype: str, pointer: str | None) -> Any:
    if not isinstance(value, kind):
        raise InvalidTensor(f"{shown(value)} is no {datatype}", pointer=pointer)
    return value


def _no_bools(values: Sequence[Any], datatype: str, pointer: str) -> None:
    for index, value in enumerate(values):
        if isinstance(value, bool):
            raise InvalidTensor(f"{value} is no {datatype}: write 1 or 0", pointer=_at(pointer, index))


def _first_wrong(values: Sequence[Any], datatype: str, pointer: str) -> InvalidTensor:
    for index, value in enumerate(values):
        try:
            struct.pack(f"<{_NARROW[datatype]}", value) if datatype in _NARROW else array(_ARRAY_CODE[datatype], [value])
        except (TypeError, struct.error):
            return InvalidTensor(f"{shown(value)} is no {datatype}", pointer=_at(pointer, index))
        except (OverflowError, ValueError):
            return InvalidTensor(f"{shown(value)} does not fit into {datatype}", pointer=_at(pointer, index))
    return InvalidTensor(f"the values are no {datatype}", pointer=pointer or None)


def _at(pointer: str, index: int) -> str:
    return f"{pointer}/{index}"
