"""The binary format of deliveries, replies and stored results: a JSON header and the raw data of tensors.

`<length of the header, 4 bytes little-endian><header, JSON><raw data of each tensor>`. The header's member `tensors` lists
`[name, datatype, shape, bytes]` in the order of the data.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from app.core.tensors import Buffer, Tensor

_JSON: Final = json.JSONEncoder(separators=(",", ":"))
"""json.dumps creates an encoder for every call with options."""


def pack(header: dict[str, Any], tensors: Sequence[Tensor] = ()) -> bytes:
    """Encode a header, whose values are JSON, and tensors."""
    listed = [[tensor.name, tensor.datatype, tensor.shape, len(tensor.data)] for tensor in tensors]
    text = _JSON.encode({**header, "tensors": listed}).encode()
    return b"".join((len(text).to_bytes(4, "little"), text, *(tensor.data for tensor in tensors)))


def unpack(packed: Buffer) -> tuple[dict[str, Any], list[Tensor]]:
    """Decode a header and tensors. The data of the tensors are views into `packed`: nothing is copied."""
    view = memoryview(packed)
    at = 4 + int.from_bytes(view[:4], "little")
    header = json.loads(bytes(view[4:at]))
    tensors = []
    for name, datatype, shape, size in header.pop("tensors"):
        tensors.append(Tensor(name, datatype, tuple(shape), view[at : at + size]))
        at += size
    return header, tensors
