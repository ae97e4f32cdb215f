"""Recognize the SystemExit with which billiard ends a process of its pool.

Why:
    The code of a model or a step may call `sys.exit()`, which must fail its job and not the process. On SIGTERM and on a hard time
    limit billiard ends a pool process with the same exception, and then the process must end. Only the traceback distinguishes them:
    the handler of billiard's signals is in `billiard.common`. `billiard.pool` does not count, because code of others calls it.

Upstream:
    https://github.com/celery/billiard/pull/457 makes the worker loop itself end after a SystemExit. It has no exception class of
    its own for this, and no flag that user code could be compared with.

Checked with:
    billiard 4.3.2

Remove:
    Let `app.runtime.exit_guard` convert every SystemExit. A process that gets SIGTERM then ends at SIGKILL, 0.1 s later.
"""

from __future__ import annotations

import traceback
from typing import Final

_SIGNAL_HANDLERS: Final = "billiard.common"


def raised_by_signal(error: BaseException) -> bool:
    """Return whether a signal handler of billiard raised an exception, to end this process."""
    return any(frame.f_globals.get("__name__") == _SIGNAL_HANDLERS for frame, _ in traceback.walk_tb(error.__traceback__))
