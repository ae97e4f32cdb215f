"""Nested lists, as JSON has the data of tensors: their values, their shape, and where a value is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from app.core.errors import InvalidTensor
from app.core.models import TensorSpec
from app.core.tensors import is_binary
from app.core.values import about

_NESTED: Final = frozenset({list, dict})
_SHORT: Final = 3
"""The most values of a list that an example writes in full."""
_EXAMPLES: Final = {
    "BYTES": ('"a"', '"b"', '"c"'),
    "BOOL": ("true", "false", "true"),
    "TIMESTAMP": ('"2026-01-31"', '"2026-02-01"', '"2026-02-02"'),
}


def flatten(data: Any, pointer: str) -> tuple[list[Any], tuple[int, ...]]:
    """Return the values of nested lists and their shape. Raises InvalidTensor if rows differ in length or depth."""
    if not isinstance(data, list):
        raise InvalidTensor("The data must be a list.", pointer=pointer)
    # From the outside in: the cost is the number of lists and values.
    flat, shape = data, [len(data)]
    while flat and isinstance(flat[0], list):
        width = len(flat[0])
        for index, part in enumerate(flat):
            if not isinstance(part, list) or len(part) != width:
                place = place_of(index, shape)
                reason = (
                    f"Row {index} differs from row 0, which has {counted(width, 'value')}."
                    if len(shape) == 1
                    else "The nested lists differ in length."
                )
                raise InvalidTensor(reason, pointer="/".join((pointer, *map(str, place))))
        flat = list(chain.from_iterable(flat))
        shape.append(width)
    _no_lists(flat, pointer)
    return flat, tuple(shape)


def _no_lists(flat: list[Any], pointer: str) -> None:
    # The set of types of thousands of numbers is found faster than each number is checked.
    if not _NESTED.isdisjoint(map(type, flat)) and any(map(is_nested, flat)):
        raise InvalidTensor("Values and lists are mixed at the same depth.", pointer=pointer)


def is_nested(value: Any) -> bool:
    """Return whether a value is a list or an object, and not bytes as JSON has them."""
    return isinstance(value, list | dict) and not is_binary(value)


def located(error: InvalidTensor, shape: Sequence[int], pointer: str, spec: TensorSpec | None = None) -> InvalidTensor:
    """Return the error of a flat value with a pointer to the value in its nested lists, and the name of its column or input."""
    if not error.pointer:
        return InvalidTensor(error.detail, pointer=pointer)
    place = place_of(int(error.pointer[1:]), shape)
    detail = error.detail
    if spec is not None:
        is_column = len(place) == 2 and spec.columns
        detail = about(spec.columns[place[1]], detail) if is_column else about(spec.name, detail, "Input")
    return InvalidTensor(detail, pointer="/".join((pointer, *map(str, place))))


def place_of(index: int, shape: Sequence[int]) -> list[int]:
    """Return the place of a flat index in nested lists."""
    place: list[int] = []
    for size in reversed(shape):
        index, at = divmod(index, size)
        place.insert(0, at)
    return place


def counted(count: int, what: str) -> str:
    """Return the count with its noun: `1 value`, `2 values`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def example_of(datatype: str, shape: Sequence[int]) -> str:
    """Return an example of nested lists as JSON, shortened by `…`. A dimension of -1 has two elements."""
    size, inner = 2 if shape[0] == -1 else shape[0], shape[1:]
    if inner:
        element = example_of(datatype, inner)
        parts = [element] * min(size, 2) if "…" not in element else [element]
    else:
        parts = list(_EXAMPLES.get(datatype, ("1", "2", "3"))[: size if size <= _SHORT else 2])
    return f"[{', '.join(parts + ['…'] * (len(parts) < size))}]"
