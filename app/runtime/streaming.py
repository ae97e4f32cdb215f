"""An answer that is yielded piece by piece: whoever listens hears each piece, and the whole is put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from app.core.errors import InvalidOutput

Listener = Callable[[int, str | bytes], None]
"""Hears the row and the piece; what it raises ends the generator."""
_listeners: list[Listener] = []


@contextmanager
def heard(listener: Listener) -> Iterator[None]:
    """In the block it hears what models of this process yield."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def whole(row: int, answer: Any) -> bytes:
    """All that a generator yields for a row. Raises InvalidOutput for a piece that is no text, and what the generator raises."""
    if isinstance(answer, str | bytes):
        answer = [answer]
    pieces = []
    try:
        for piece in answer:
            if not isinstance(piece, str | bytes):
                raise InvalidOutput(f"predict yielded {type(piece).__name__}, where text is declared (BYTES): yield str or bytes")
            pieces.append(piece.encode() if isinstance(piece, str) else piece)
            for listener in _listeners:
                listener(row, piece)
    finally:
        # Not when it is collected: it holds what it holds until then.
        if hasattr(answer, "close"):
            answer.close()
    return b"".join(pieces)
