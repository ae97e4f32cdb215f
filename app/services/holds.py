"""Responses that are held back until something happens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable


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
            if not timeout.expired():
                timeout.reschedule(0)

    async def wait(self, awaitable: Awaitable[object], seconds: float) -> bool:
        """Wait for an event or a future. Return False if `seconds` have passed or the process shuts down before it happens.

        The awaitable is cancelled then. It must not run Redis commands: redis-py may answer a cancellation with an error of its own.

        Example:
            if await holds.wait(changed.wait(), 20):
                job = await read()
        """
        try:
            async with asyncio.timeout(0 if self.draining else seconds) as timeout:
                self._open.add(timeout)
                try:
                    await awaitable
                finally:
                    self._open.discard(timeout)
        except TimeoutError:
            if not timeout.expired():
                raise
            return False
        return True
