"""The time for which the worker processes of each pool exist, busy or not. One API process at a time measures it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import redis.asyncio

from app.core.metering import Amounts, Meter, Series
from app.store import metering, workers

_LONGEST_S: Final = 300.0
"""After a longer time, another process has measured in between."""


class ReservedTime:
    """Adds the time of processes to the usage of their pools."""

    def __init__(self, client: redis.asyncio.Redis, meter: Meter, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._meter = meter
        self._clock = clock
        self._measured_at = float("-inf")

    async def measure(self) -> None:
        """Add the time since the call before, for the processes that exist now."""
        now = self._clock()
        passed_s, self._measured_at = now - self._measured_at, now
        if passed_s > _LONGEST_S:
            return
        processes = Counter[str]()
        for worker in await workers.read(self._client):
            processes[worker.pool] += worker.processes
        amounts = {Series(pool): Amounts(run_s=passed_s * count) for pool, count in processes.items()}
        await metering.record(self._client, self._meter, amounts)
