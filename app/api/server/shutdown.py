"""The end of an API process: it fails readiness, lingers while requests still arrive, drains, and lets the server exit."""

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
LINGERS_AT_MOST: Final = 6
"""Multiple of `linger_s`. On a busy node, kube-proxy took up to 48 s to stop sending requests. The chart's grace period relies on this bound."""


@contextmanager
def graceful_shutdown(
    leave: Callable[[], None], drain: Callable[[], None], last_request_at: Callable[[], float], linger_s: float
) -> Iterator[None]:
    """Handle SIGINT and SIGTERM while the block runs.

    Args:
        leave: Called at the first signal.
        drain: Called before the server's own handler: when no request has arrived for `linger_s`, or at the second signal. The
            server then closes its port, waits for open responses, and ends the lifespan.
        last_request_at: Returns the monotonic time of the last request.
        linger_s: Seconds without a request after which the process stops.
    """
    loop = asyncio.get_running_loop()
    handlers: dict[int, Any] = {}
    lingering: asyncio.TimerHandle | None = None
    signaled_at = 0.0

    def linger(number: int) -> None:
        nonlocal lingering
        end = min(max(signaled_at, last_request_at()) + linger_s, signaled_at + LINGERS_AT_MOST * linger_s)
        left = end - time.monotonic()
        if left > 0:
            lingering = loop.call_later(left, linger, number)
        else:
            stop(number)

    def stop(number: int) -> None:
        log.info("Shutting down, %.1f s after the first signal.", time.monotonic() - signaled_at)
        drain()
        if callable(handlers[number]):
            handlers[number](number, None)

    def signaled(number: int) -> None:
        nonlocal signaled_at
        if not signaled_at:
            signaled_at = time.monotonic()
            leave()
            linger(number)
        else:
            if lingering:
                lingering.cancel()
            stop(number)

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(signaled, number)

    # The server has installed its own handlers by now. They are called in the end.
    for number in (signal.SIGINT, signal.SIGTERM):
        handlers[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for signaled_by, handler in handlers.items():
            signal.signal(signaled_by, handler)
