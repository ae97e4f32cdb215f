"""Child processes end with their parent, even if the parent is killed."""

from __future__ import annotations

import ctypes
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
# Loaded before any fork: nothing may be imported between fork and exec.
_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


def end_with_parent() -> None:
    """A `preexec_fn`: Linux sends the child SIGTERM when the thread that started it ends. Does nothing on other systems."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
