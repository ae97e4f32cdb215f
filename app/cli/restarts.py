"""When a process that died is restarted, and when to give up on it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

WINDOW_S: Final = 300.0
"""Deaths older than this are forgotten."""
_LONGEST_DELAY_S: Final = 30.0


class Restarts:
    """Counts the deaths of one process.

    The first restart is immediate, the next ones wait 1, 2, 4, … seconds.

    >>> restarts = Restarts(most=3)
    >>> [restarts.delay_after_death() for _ in range(4)]
    [0.0, 1.0, 2.0, None]
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Allow `most` restarts within `WINDOW_S` seconds."""
        self.most = most
        self._clock = clock
        self._deaths: deque[float] = deque()

    @property
    def count(self) -> int:
        """Deaths within the last `WINDOW_S` seconds."""
        return len(self._deaths)

    def delay_after_death(self) -> float | None:
        """Record a death. Return the seconds to wait before the restart, or None to give up."""
        now = self._clock()
        self._deaths.append(now)
        while now - self._deaths[0] > WINDOW_S:
            self._deaths.popleft()
        if self.count > self.most:
            return None
        return 0.0 if self.count == 1 else min(2.0 ** (self.count - 2), _LONGEST_DELAY_S)
