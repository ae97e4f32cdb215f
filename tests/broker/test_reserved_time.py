"""The time for which the processes of each pool exist."""

from __future__ import annotations

import time

import pytest
import redis.asyncio

from app.broker.reserved_time import ReservedTime
from app.core.metering import DAY_S, Meter, Series
from app.store import metering, workers


async def test_each_process_of_a_pool_counts_for_the_time_that_has_passed(redis_url: str) -> None:
    clock = iter((100.0, 160.0, 220.0, 2000.0))
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        reserved = ReservedTime(client, Meter(400, 100, {"gpu": 36.0}), lambda: next(clock))
        with redis.Redis.from_url(redis_url) as reporting:
            for name, pool, processes in (("gpu@a-1", "gpu", 1), ("gpu@b-1", "gpu", 1), ("cpu@a-2", "cpu", 4)):
                workers.report(reporting, workers.Worker(name, pool, processes, time.time() + DAY_S), ())
        for _ in range(4):
            # The first call knows of no time before, and the last one comes too late.
            await reserved.measure()
        today = int(time.time() // DAY_S)
        # Both days, because a test may run at midnight.
        used = [entry for stored in await metering.read(client, [today - 1, today]) for entry in metering.decode(stored)]
    sums = {series: sum(amounts.run_s for one, amounts in used if one == series) for series, _ in used}
    assert sums == {Series("gpu"): 240.0, Series("cpu"): 480.0}
    assert sum(amounts.cost for _, amounts in used) == pytest.approx(2.4)
