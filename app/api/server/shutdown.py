"""The end of an API process: it says that it goes, lingers for those who are still sent to it, drains, and lets the server end."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

log = logging.getLogger(__name__)
LINGERS_AT_MOST: Final = 4
"""Times `linger_s`. How long a cluster goes on sending requests depends on how busy it is; the chart's grace period counts on this bound."""


@contextmanager
def stopping(leave: Callable[[], None], drain: Callable[[], None], asked_at: Callable[[], float], linger_s: float) -> Iterator[None]:
    """Calls `leave` when the process is told to stop, and `drain` and the server's own handler when nobody has asked for `linger_s`,
    or when it is told again. `asked_at` is the monotonic time of the last request.

    The server closes its port then, waits for open answers, and ends the lifespan only after.
    """
    loop = asyncio.get_running_loop()
    before: dict[int, Any] = {}
    lingering: asyncio.TimerHandle | None = None
    told_at = 0.0

    def linger(number: int) -> None:
        nonlocal lingering
        left = min(max(told_at, asked_at()) + linger_s, told_at + LINGERS_AT_MOST * linger_s) - time.monotonic()
        if left > 0:
            lingering = loop.call_later(left, linger, number)
        else:
            end(number)

    def end(number: int) -> None:
        log.info("stops %.1f s after it was told to", time.monotonic() - told_at)
        drain()
        if callable(before[number]):
            before[number](number, None)

    def told(number: int) -> None:
        nonlocal told_at
        if not told_at:
            told_at = time.monotonic()
            leave()
            linger(number)
        else:
            if lingering:
                lingering.cancel()
            end(number)

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(told, number)

    # The server has put its own handlers in place by now, and those go on working.
    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for told_by, handler in before.items():
            signal.signal(told_by, handler)
