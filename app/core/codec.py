"""A header and tensors as one string of bytes: what a delivery, a reply and a stored result are made of.

`<length of the header, 4 bytes little-endian><header, JSON><raw data of each tensor, one after the other>`. The header's
member `tensors` lists `[name, datatype, shape, bytes]` in the order of the data.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from app.core.tensors import Buffer, Tensor

_JSON: Final = json.JSONEncoder(separators=(",", ":"))
"""json.dumps makes one for every call with options."""


def pack(header: dict[str, Any], tensors: Sequence[Tensor] = ()) -> bytes:
    """Header values are JSON types."""
    listed = [[one.name, one.datatype, one.shape, len(one.data)] for one in tensors]
    text = _JSON.encode({**header, "tensors": listed}).encode()
    return b"".join((len(text).to_bytes(4, "little"), text, *(one.data for one in tensors)))


def unpack(packed: Buffer) -> tuple[dict[str, Any], list[Tensor]]:
    """The tensors' data are views into `packed`: nothing is copied."""
    view = memoryview(packed)
    at = 4 + int.from_bytes(view[:4], "little")
    header = json.loads(bytes(view[4:at]))
    tensors = []
    for name, datatype, shape, size in header.pop("tensors"):
        tensors.append(Tensor(name, datatype, tuple(shape), view[at : at + size]))
        at += size
    return header, tensors
