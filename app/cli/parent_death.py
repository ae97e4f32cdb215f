"""No process outlives the one that started it, not even where that one is killed without a chance to clean up."""

from __future__ import annotations

import ctypes
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
# Loaded here, before any fork: between fork and exec nothing may be imported.
_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


def end_with_parent() -> None:
    """A `preexec_fn`: Linux sends the child SIGTERM when the thread that started it ends. Other systems have no such thing."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
