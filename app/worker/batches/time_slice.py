"""The time slice of one job of a batch, after which others run."""

from __future__ import annotations

import time
from typing import Final

from redis.exceptions import RedisError

from app.broker import names
from app.core.batches import TARGET_S
from app.core.handlers import Context
from app.settings import settings
from app.store import queues

_LONGEST_S: Final = 1.5 * TARGET_S
_LEAST_S: Final = 0.5
"""A job runs this long before it gives way, so that a batch makes progress however many predictions arrive."""
_GIVES_WAY_MS: Final = 50
"""One job of a pool gives way in this time: one free process is enough for what waits."""


class TimeSlice:
    """The time that one job of a batch may run. It begins when it is made.

    Plans and chunks call `over` between small steps, and end early when it is True.
    """

    def __init__(self, context: Context) -> None:
        """Begin the time slice.

        Args:
            context: What the handler received.
        """
        self._context = context
        self._began = time.perf_counter()
        self._check_at = self._began + _LEAST_S

    def over(self) -> bool:
        """Return True after 1.5 s, or after 0.5 s if a prediction waits and no process is free for it."""
        now = time.perf_counter()
        if now - self._began > _LONGEST_S:
            return True
        if now < self._check_at:
            return False
        self._check_at = now + _GIVES_WAY_MS / 2000
        return self._prediction_waits()

    def _prediction_waits(self) -> bool:
        """Return whether a prediction waits that goes before batches. True for one of the jobs that check at about the same time."""
        pool = settings().pool
        lists = names.priority(pool), names.interactive(pool)
        try:
            return queues.give_way(self._context.redis, pool, lists, self._context.worker, _GIVES_WAY_MS)
        except RedisError:
            return False
