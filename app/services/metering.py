"""Writes the usage of synchronous predictions, once a second. That of recorded jobs is written by the script that ends them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Final

import redis.asyncio
from redis.exceptions import RedisError

from app import metrics
from app.core.metering import Amounts, Meter, Series, UsageCollector
from app.loops import Loop
from app.store import metering, usage

_TURN_S: Final = 1.0


class UsageRecorder:
    """Writes what this process has measured: as usage, and against the quotas of run seconds."""

    def __init__(
        self, client: redis.asyncio.Redis, collector: UsageCollector, meter: Meter, limited: Callable[[str], bool], loop: Loop
    ) -> None:
        """`limited(pool)` returns whether run seconds in a pool count against a quota."""
        self._client = client
        self._collector = collector
        self._meter = meter
        self._limited = limited
        self._loop = loop

    async def run(self) -> None:
        """Write until the task is cancelled, and then what is left."""
        await self._loop.run_and_flush(self.flush, _TURN_S)

    async def flush(self) -> None:
        """Write what was counted since the last time. If Redis does not answer it is dropped: written twice, it would be counted twice."""
        amounts = self._collector.take()
        self._count_cost(amounts)
        try:
            await usage.add_run_seconds(self._client, self._of_quotas(amounts), time.time())
            await metering.record(self._client, self._meter, amounts)
        except (RedisError, OSError):
            metrics.RUN_SECONDS_LOST.inc(sum(used.run_s for used in amounts.values()))
            raise

    def _count_cost(self, amounts: Mapping[Series, Amounts]) -> None:
        for series, used in amounts.items():
            cost = self._meter.cost(series.pool, used.run_s)
            if cost is not None:
                metrics.COST.labels(series.pool, series.model).inc(cost)

    def _of_quotas(self, amounts: Mapping[Series, Amounts]) -> Mapping[str, float]:
        """Return the run seconds of each owner that count against a quota."""
        seconds: defaultdict[str, float] = defaultdict(float)
        for series, used in amounts.items():
            if self._limited(series.pool):
                seconds[series.owner] += used.run_s
        return seconds
