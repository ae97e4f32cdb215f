"""Code of other people that would end its process, by sys.exit() most of all, has failed like any other."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SIGNALS: Final = "billiard.common"
"""Holds the handlers that end a pool's process. Not `billiard.pool`: what stands for sys.exit() there is called by anybody."""


@contextmanager
def contained() -> Iterator[None]:
    """Raises RuntimeError in the place of what no `except Exception` would catch. Where the pool itself ends the process, it ends."""
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if any(frame.f_globals.get("__name__") == _SIGNALS for frame, _ in traceback.walk_tb(error.__traceback__)):
            raise
        raise RuntimeError(f"it raised {type(error).__name__}, which would end its process").with_traceback(error.__traceback__) from None
