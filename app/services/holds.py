"""Responses that are held back until something happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Holds:
    """The waits of one process. They end early when the process shuts down, so that every caller gets a response.

    Attributes:
        draining: Whether the process shuts down. A wait that begins now ends immediately.
    """

    def __init__(self) -> None:
        self.draining = False
        self._open: set[asyncio.Timeout] = set()

    def drain(self) -> None:
        """End all waits, now and in the future."""
        self.draining = True
        for timeout in self._open:
            timeout.reschedule(0)

    @contextlib.asynccontextmanager
    async def hold(self, seconds: float) -> AsyncIterator[None]:
        """Run the block until it completes, `seconds` have passed or the process shuts down. No error is raised.

        Example:
            async with holds.hold(20):
                await changed.wait()
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0 if self.draining else seconds) as timeout:
                self._open.add(timeout)
                try:
                    yield
                finally:
                    self._open.discard(timeout)
