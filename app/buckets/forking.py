"""Whether this process forks others. The library of the store has threads, which a fork does not copy, so such a process must not use it."""

from __future__ import annotations

import os

_forking = 0


def begin() -> None:
    """Declare that this process forks others. Those that it forks do not."""
    global _forking
    _forking = os.getpid()


def forks() -> bool:
    """Return whether this process has declared it."""
    return os.getpid() == _forking
