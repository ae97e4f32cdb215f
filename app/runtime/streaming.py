"""Streaming models: listeners get each token, and the tokens are joined to the complete output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from app.core.errors import InvalidOutput

Listener = Callable[[int, str | bytes], None]
"""Called with the row and the token. An exception ends the generator."""
_listeners: list[Listener] = []


@contextmanager
def heard(listener: Listener) -> Iterator[None]:
    """Within the block, pass what models of this process yield to the listener."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def collected(row: int, answer: Any) -> bytes:
    """Return everything that a generator yields for a row. Raises InvalidOutput for a token that is not text, and the exceptions of the generator."""
    if isinstance(answer, str | bytes):
        answer = [answer]
    tokens = []
    try:
        for token in answer:
            if not isinstance(token, str | bytes):
                raise InvalidOutput(f"predict yielded {type(token).__name__}, but text is declared (BYTES). Yield str or bytes.")
            tokens.append(token.encode() if isinstance(token, str) else token)
            for listener in _listeners:
                listener(row, token)
    finally:
        # Now, not at garbage collection: the generator may hold resources.
        if hasattr(answer, "close"):
            answer.close()
    return b"".join(tokens)
