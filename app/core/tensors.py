"""Tensors in transit: little-endian bytes in row-major order, with a name, a datatype and a shape.

Datatypes and the raw form are those of the Open Inference Protocol v2 and its binary tensor extension. BOOL takes one byte per element. BYTES
holds for each element its length (4 bytes, little-endian, unsigned) and its bytes. The first dimension counts rows. This module uses the
standard library only: an API process needs no NumPy, and a worker reads the bytes without a copy.

TIMESTAMP is an addition of ours: int64 microseconds since 1970. The protocol has no dates, so its clients send them as text.

A missing value is NaN in floats, the smallest int64 in TIMESTAMP, 2 in BOOL, and an element of length 0xFFFFFFFF in BYTES. Whole numbers have no
spare value: if some are missing, the tensor becomes FP64, as in pandas.
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
from app.core.values import NO_TIME, RANGES, Unfit, read, timestamp_text

Buffer = bytes | bytearray | memoryview

ITEM_SIZE: Final = {
    "BOOL": 1, "UINT8": 1, "UINT16": 2, "UINT32": 4, "UINT64": 8, "INT8": 1, "INT16": 2, "INT32": 4, "INT64": 8,
    "FP16": 2, "FP32": 4, "FP64": 8, "TIMESTAMP": 8,
}  # fmt: skip
TIMESTAMP: Final = "TIMESTAMP"
DECLARED: Final = (*ITEM_SIZE, "BYTES")
"""The datatypes that a manifest can declare."""
DATATYPES: Final = tuple(datatype for datatype in DECLARED if datatype != TIMESTAMP)
"""The datatypes of the protocol."""
FLOATS: Final = ("FP16", "FP32", "FP64")
MISSING_BOOL: Final = 2
MISSING_LENGTH: Final = 0xFFFFFFFF
_ARRAY_CODE: Final = {
    "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q",
    "FP32": "f", "FP64": "d", "TIMESTAMP": "q",
}  # fmt: skip
_NARROW: Final = {"FP16": "e", "FP32": "f"}
_NAN: Final = float("nan")
MAX_RANK: Final = 64
"""Maximum number of dimensions of a tensor, as in NumPy 2."""
MAX_ELEMENTS: Final = (1 << 63) - 1
"""Maximum number of elements of a tensor, as ONNX and NumPy can count them."""

if sys.byteorder != "little":  # pragma: no cover
    raise ImportError("tensors are kept as little-endian bytes; this machine is big-endian")


@dataclass(slots=True)
class Tensor:
    """A named array: `shape` counts the elements of each dimension, `data` holds them as raw little-endian bytes."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Buffer

    @property
    def rows(self) -> int:
        """The size of the first dimension."""
        return self.shape[0] if self.shape else 1


def size_of(shape: Iterable[int]) -> int:
    """Return the number of elements of a shape."""
    return math.prod(shape)


def checked_shape(shape: Any, pointer: str) -> tuple[int, ...]:
    """Return the shape that a caller sent, as a tuple.

    Raises InvalidTensor unless it is a list of at most `MAX_RANK` whole numbers and describes at most `MAX_ELEMENTS` elements.
    Read every shape with it before anything multiplies its dimensions: the product of 60,000 of them takes seconds.
    """
    if not isinstance(shape, list):
        raise InvalidTensor(f"shape must be a list of whole numbers, not {shown(shape)}.", pointer=pointer)
    if len(shape) > MAX_RANK:
        raise InvalidTensor(f"shape has {len(shape)} dimensions: a tensor has at most {MAX_RANK}.", pointer=pointer)
    if not all(type(size) is int and 0 <= size < 1 << 31 for size in shape):
        raise InvalidTensor(f"shape must be a list of whole numbers from 0 to {(1 << 31) - 1}, not {shown(shape)}.", pointer=pointer)
    if size_of(shape) > MAX_ELEMENTS:
        raise InvalidTensor(f"The shape {shown(shape)} has more than {MAX_ELEMENTS} elements.", pointer=pointer)
    return tuple(shape)


def is_binary(value: Any) -> bool:
    """Return whether a value is `{"b64": …}`, which represents bytes in JSON that are not text."""
    return isinstance(value, dict) and value.keys() == {"b64"}


def as_json(value: Any) -> Any:
    """Return a decoded value as JSON: bytes as `{"b64": …}`."""
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def make(
    name: str, datatype: str, shape: tuple[int, ...], values: Sequence[Any], *, nullable: bool = False, zoned: bool | None = None
) -> Tensor:
    """Return flat Python values as a tensor. `None` is a missing value; whole numbers of which some are missing become FP64.

    `zoned`: timestamps must have an offset from UTC (True), must not (False), or may have one (None). Raises InvalidTensor with the index of
    the value.
    """
    if nullable and datatype in RANGES and None in values:
        encode([0 if value is None else value for value in values], datatype)  # raises for values that are not whole numbers
        return Tensor(name, "FP64", shape, encode(values, "FP64", nullable=True))
    return Tensor(name, datatype, shape, encode(values, datatype, nullable=nullable, zoned=zoned))


def encode(values: Sequence[Any], datatype: str, *, nullable: bool = False, pointer: str = "", zoned: bool | None = None) -> bytes:
    """Return flat Python values as raw bytes. For whole numbers that may be missing see `make`. Raises InvalidTensor with the index of the value."""
    if None in values and (not nullable or datatype in RANGES):
        raise InvalidTensor("A value is null, and this input takes no missing values.", pointer=_at(pointer, values.index(None)))
    if datatype == "BYTES":
        return _encode_bytes(values, pointer)
    if datatype == "BOOL":
        try:
            return bytes([_BOOLS[value] for value in values])
        except (KeyError, TypeError):
            return bytes([MISSING_BOOL if value is None else value for value in _read(values, datatype, pointer, zoned)])
    if datatype == TIMESTAMP:
        read_ = _read(values, datatype, pointer, zoned)
        return array("q", [NO_TIME if value is None else value for value in read_]).tobytes()
    if None in values:
        values = [_NAN if value is None else value for value in values]
    try:
        return _numbers(values, datatype)
    except (TypeError, OverflowError, ValueError, struct.error):
        return _numbers(_read(values, datatype, pointer, zoned), datatype)


def decode(data: Buffer, datatype: str, *, nullable: bool = False) -> list[Any]:
    """Return raw bytes as flat Python values.

    BYTES become text if they are UTF-8, else bytes. TIMESTAMP becomes text. A missing value is None, in floats NaN; if `nullable`, an empty
    text is a missing value, too.
    """
    if datatype == "BYTES":
        texts = [None if element is None else _text(element) for element in elements(data)]
        return [None if nullable and value == "" else value for value in texts]
    if datatype == "BOOL":
        return [None if byte == MISSING_BOOL else byte != 0 for byte in bytes(data)]
    if datatype == "FP16":
        return list(struct.unpack(f"<{len(data) // 2}e", data))
    values = array(_ARRAY_CODE[datatype])
    values.frombytes(data)
    if datatype == TIMESTAMP:
        return [None if value == NO_TIME else timestamp_text(value) for value in values]
    return values.tolist()


def elements(data: Buffer, most: int = MAX_ELEMENTS) -> list[bytes | None]:
    """Return the first elements of a raw BYTES tensor, None for a missing one. Raises InvalidTensor if a length exceeds the data."""
    parts: list[bytes | None] = []
    at, view = 0, memoryview(data)
    while at < len(view) and len(parts) < most:
        if at + 4 > len(view):
            raise InvalidTensor("The BYTES tensor is cut off inside the length of an element.")
        (size,) = struct.unpack_from("<I", view, at)
        at += 4
        if size == MISSING_LENGTH:
            parts.append(None)
            continue
        if at + size > len(view):
            raise InvalidTensor(f"The BYTES tensor is cut off inside element {len(parts)}, which says it has {size} bytes.")
        parts.append(bytes(view[at : at + size]))
        at += size
    return parts


def check_size(tensor: Tensor, pointer: str = "") -> None:
    """Raise InvalidTensor unless `data` has exactly the length that `datatype` and `shape` require."""
    count = size_of(tensor.shape)
    if tensor.datatype == "BYTES":
        held = len(elements(tensor.data))
    else:
        held, rest = divmod(len(tensor.data), ITEM_SIZE[tensor.datatype])
        if rest:
            raise InvalidTensor(f"{len(tensor.data)} bytes are not a whole number of {tensor.datatype} elements.", pointer=pointer or None)
    if held != count:
        raise InvalidTensor(f"The data holds {held} elements, the shape {list(tensor.shape)} says {count}.", pointer=pointer or None)


def has_missing(tensor: Tensor) -> bool:
    """Return whether a value is missing or a float is infinite."""
    if tensor.datatype in FLOATS:
        return not _all_small(tensor) and not all(map(math.isfinite, decode(tensor.data, tensor.datatype)))
    if tensor.datatype == "BYTES":
        return None in elements(tensor.data)
    if tensor.datatype == TIMESTAMP:
        return NO_TIME in memoryview(tensor.data).cast("B").cast("q").tolist()
    return tensor.datatype == "BOOL" and MISSING_BOOL in bytes(tensor.data)


def _all_small(tensor: Tensor) -> bool:
    """Return whether the first bytes of all floats show that they are finite: the exponent of NaN and of infinity has all bits set.

    Searching every n-th byte is several times faster than a loop over the numbers. False also if some are close to the largest number.
    """
    high = bytes(tensor.data)[ITEM_SIZE[tensor.datatype] - 1 :: ITEM_SIZE[tensor.datatype]]
    return not high.translate(None, _SMALL_FP16 if tensor.datatype == "FP16" else _SMALL)


def first_missing(tensor: Tensor) -> int:
    """Return the index of the first value that `has_missing` finds."""
    values = decode(tensor.data, tensor.datatype)
    return next(at for at, value in enumerate(values) if value is None or (isinstance(value, float) and not math.isfinite(value)))


_SMALL: Final = bytes(byte for byte in range(256) if byte & 0x7F != 0x7F)
"""First bytes of a float with at least seven bits of exponent, not all of which are set."""
_SMALL_FP16: Final = bytes(byte for byte in range(256) if byte & 0x7C != 0x7C)
_BOOLS: Final = {True: 1, False: 0, None: MISSING_BOOL}
"""Python also looks up 1 and 1.0 as True."""


def _numbers(values: Sequence[Any], datatype: str) -> bytes:
    # An array would turn a number too large for FP32 into an infinity.
    if datatype in _NARROW:
        return struct.pack(f"<{len(values)}{_NARROW[datatype]}", *values)
    return array(_ARRAY_CODE[datatype], values).tobytes()


def _read(values: Sequence[Any], datatype: str, pointer: str, zoned: bool | None) -> list[Any]:
    """Read the values one by one, by the rules of `app.core.values`."""
    values_: list[Any] = []
    for index, value in enumerate(values):
        try:
            number = None if value is None else read(value, datatype, zoned=zoned)
            if datatype in _NARROW:
                struct.pack(f"<{_NARROW[datatype]}", number)
        except (OverflowError, struct.error):
            raise InvalidTensor(f"{value!r} does not fit into {datatype}.", pointer=_at(pointer, index)) from None
        except Unfit as error:
            raise InvalidTensor(str(error), pointer=_at(pointer, index)) from None
        values_.append(number)
    return values_


def _encode_bytes(values: Sequence[Any], pointer: str) -> bytes:
    encoded = bytearray()
    for index, value in enumerate(values):
        if value is None:
            encoded += _MISSING_ELEMENT
            continue
        element = from_b64(value, _at(pointer, index)) if is_binary(value) else value
        if not isinstance(element, str | bytes):
            raise InvalidTensor(_read_error(element, "BYTES"), pointer=_at(pointer, index))
        element = _utf8(element, _at(pointer, index)) if isinstance(element, str) else element
        encoded += struct.pack("<I", len(element)) + element
    return bytes(encoded)


_MISSING_ELEMENT: Final = struct.pack("<I", MISSING_LENGTH)


def _utf8(text: str, pointer: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidTensor(f"{text[:100]!r} holds half of a surrogate pair, which is not a character.", pointer=pointer) from None


def _read_error(value: Any, datatype: str) -> str:
    try:
        read(value, datatype)
    except Unfit as error:
        return str(error)
    raise AssertionError(f"{datatype} takes {value!r}")


def from_b64(value: dict[str, Any], pointer: str = "") -> bytes:
    """Return the bytes of `{"b64": …}`. Raises InvalidTensor."""
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (TypeError, ValueError) as error:
        raise InvalidTensor(f"b64 must be a string in base64: {error}", pointer=pointer) from None


def _text(element: bytes) -> str | bytes:
    try:
        return element.decode()
    except UnicodeDecodeError:
        return element


def _at(pointer: str, index: int) -> str:
    return f"{pointer}/{index}"
