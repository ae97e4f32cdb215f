"""The soft time limit, and a caller who cancels, reach a pool process as SIGUSR1. It ends a prediction, and nothing else.

Billiard's own handler raises wherever the process is. In the middle of an answer to the main process that leaves half an
answer in the pipe, which ends the main process; between two tasks it ends the pool process.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded

_open = False
_asked = False


def arm() -> None:
    """At the beginning of a delivery: a signal that came too late for the one before does not count."""
    global _asked
    _asked = False
    # Here, and not once at the start: billiard installs its own after `worker_process_init`.
    signal.signal(signal.SIGUSR1, _heard)


def asked() -> bool:
    """Was the delivery to be interrupted since `arm`?"""
    return _asked


@contextmanager
def interruptible() -> Iterator[None]:
    """Raises SoftTimeLimitExceeded where the signal comes in this block, or came since `arm`."""
    global _open
    _open = True
    try:
        if _asked:
            raise SoftTimeLimitExceeded
        yield
    finally:
        _open = False


def _heard(*_: Any) -> None:
    global _asked
    _asked = True
    if _open:
        raise SoftTimeLimitExceeded
