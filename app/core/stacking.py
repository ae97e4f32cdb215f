"""Joining the tensors of several jobs row by row, and splitting them again."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from app.core.tensors import ITEM_SIZE, MISSING_LENGTH, Tensor, decode, encode, size_of


def concatenate(parts: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Join the tensors of several jobs row by row.

    All jobs have the same names, trailing dimensions and datatypes, except that whole numbers may come as FP64.
    """
    if len(parts) == 1:
        return list(parts[0])
    joined = []
    for same in zip(*parts, strict=True):
        first = same[0]
        if any(tensor.datatype != first.datatype for tensor in same):
            same = tuple(Tensor(tensor.name, "FP64", tensor.shape, encode(decode(tensor.data, tensor.datatype), "FP64")) for tensor in same)
        shape = (sum(tensor.rows for tensor in same), *first.shape[1:])
        joined.append(Tensor(first.name, same[0].datatype, shape, b"".join(tensor.data for tensor in same)))
    return joined


def split(tensors: Sequence[Tensor], rows: Sequence[int]) -> list[list[Tensor]]:
    """Undo `concatenate`: job i gets the next `rows[i]` rows of every tensor."""
    if len(rows) == 1:
        return [list(tensors)]
    parts: list[list[Tensor]] = [[] for _ in rows]
    for tensor in tensors:
        view, at, rest = memoryview(tensor.data), 0, tensor.shape[1:]
        elements = size_of(rest)
        step = elements * ITEM_SIZE.get(tensor.datatype, 0)
        for part, count in zip(parts, rows, strict=True):
            end = at + (step * count if step else _length(view[at:], elements * count))
            part.append(Tensor(tensor.name, tensor.datatype, (count, *rest), view[at:end]))
            at = end
    return parts


def _length(view: memoryview, elements: int) -> int:
    """Return the bytes of the first elements of a BYTES tensor."""
    at = 0
    for _ in range(elements):
        size = int(struct.unpack_from("<I", view, at)[0])
        at += 4 if size == MISSING_LENGTH else 4 + size
    return at
