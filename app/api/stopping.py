"""The end of an API process: it says that it goes, lingers for those who are still sent to it, drains, and lets the server end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def stopping(leave: Callable[[], None], drain: Callable[[], None], linger_s: float) -> Iterator[None]:
    """Calls `leave` when the process is told to stop, and after `linger_s`, or when it is told again, `drain` and the server's own handler.

    The server closes its port then, waits for open answers, and ends the lifespan only after.
    """
    loop = asyncio.get_running_loop()
    before: dict[int, Any] = {}
    lingering: asyncio.TimerHandle | None = None

    def end(number: int) -> None:
        drain()
        if callable(before[number]):
            before[number](number, None)

    def told(number: int) -> None:
        nonlocal lingering
        if lingering is None:
            leave()
            lingering = loop.call_later(linger_s, end, number)
        else:
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
