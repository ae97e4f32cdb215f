"""Streaming models: listeners get each piece of text, and the pieces are joined to the complete output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from app.core.errors import InvalidOutput

Listener = Callable[[int, str | bytes], None]
"""Gets the row and the piece. An exception ends the generator."""
_listeners: list[Listener] = []


@contextmanager
def heard(listener: Listener) -> Iterator[None]:
    """Within the block, pass what models of this process yield to the listener."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def whole(row: int, answer: Any) -> bytes:
    """Return everything that a generator yields for a row. Raises InvalidOutput for a piece that is not text, and what the generator raises."""
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
        # Now, not at garbage collection: the generator may hold resources.
        if hasattr(answer, "close"):
            answer.close()
    return b"".join(pieces)
