"""Measures how long an event loop was blocked. Everything else in its process waits for as long."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from app import metrics
from app.loops import Loop

log = logging.getLogger(__name__)
_EVERY_S: Final = 0.1
_WINDOW_S: Final = 60.0
_LONG_S: Final = 1.0
"""Shortest pause that is logged."""


class Pauses:
    """Measures an event loop with a timer: the delay of the timer is the time that the loop was blocked.

    Attributes:
        last_s: The last delay.
    """

    def __init__(self, loop: Loop, clock: Callable[[], float] = time.monotonic) -> None:
        self.loop = loop
        self._clock = clock
        self.last_s = 0.0
        self._at: float | None = None
        self._recent: deque[tuple[float, float]] = deque()

    async def run(self) -> None:
        """Run until the task is cancelled."""
        await self.loop.run(self._turn)

    async def _turn(self) -> float:
        self.tick(_EVERY_S)
        return _EVERY_S

    def tick(self, every_s: float) -> float:
        """Record that a timer with the interval `every_s` fired. Returns its delay in seconds."""
        now = self._clock()
        pause_s = 0.0 if self._at is None else max(0.0, now - self._at - every_s)
        self._at, self.last_s = now, pause_s
        metrics.LOOP_PAUSE.observe(pause_s)
        # Keep only pauses that may still become the maximum of the window: a later, longer pause replaces earlier ones.
        while self._recent and self._recent[-1][1] <= pause_s:
            self._recent.pop()
        self._recent.append((now, pause_s))
        while now - self._recent[0][0] > _WINDOW_S:
            self._recent.popleft()
        metrics.LOOP_LONGEST_PAUSE.set(self._recent[0][1])
        if pause_s > _LONG_S:
            log.warning("The event loop was blocked for %.1f s: no other request was answered meanwhile.", pause_s)
        return pause_s
