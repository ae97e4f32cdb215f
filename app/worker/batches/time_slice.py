"""How long one job of a batch may run before others get their turn."""

from __future__ import annotations

import time
from typing import Final

from redis.exceptions import RedisError

from app.broker import names
from app.core.batches import TARGET_S
from app.settings import settings
from app.store import keys
from app.worker import pool_process

_LONGEST_S: Final = 1.5 * TARGET_S
_LEAST_S: Final = 0.5
"""A job runs this long before it gives way, so that a batch makes progress however many predictions arrive."""
_GIVES_WAY_MS: Final = 50
"""One job of a pool gives way in this time: one free process is enough for what waits."""


class Turn:
    """Begins when it is made. Plans and chunks ask `over()` between small steps, and end early when it is True."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._ask_at = self._began + _LEAST_S

    def over(self) -> bool:
        """True after 1.5 s, or after 0.5 s if a prediction waits and no process is free for it."""
        now = time.perf_counter()
        if now - self._began > _LONGEST_S:
            return True
        if now < self._ask_at:
            return False
        self._ask_at = now + _GIVES_WAY_MS / 2000
        return _prediction_waits()


def _prediction_waits() -> bool:
    """Does a prediction wait in the pool's interactive lane? True for one of the jobs that ask at about the same time."""
    pool, client = settings().pool, pool_process.redis()
    try:
        waits = client.llen(keys.list_of(names.interactive(pool)))
        return bool(waits and client.set(keys.giving_way(pool), pool_process.name(), nx=True, px=_GIVES_WAY_MS))
    except RedisError:
        return False
