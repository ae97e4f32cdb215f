"""Writes the run seconds of synchronous predictions, once a second. Those of recorded jobs are counted by the script that ends them."""

from __future__ import annotations

import time
from typing import Final

import redis.asyncio
from redis.exceptions import RedisError

from app import metrics
from app.core.run_times import RunTimes
from app.loops import Loop
from app.store import usage

_TURN_S: Final = 1.0


class RunTimesRecorder:
    """Writes what this process has counted."""

    def __init__(self, client: redis.asyncio.Redis, run_times: RunTimes, loop: Loop) -> None:
        self._client = client
        self._run_times = run_times
        self._loop = loop

    async def run(self) -> None:
        """Write until the task is cancelled, and then what is left."""
        await self._loop.run_and_flush(self.flush, _TURN_S)

    async def flush(self) -> None:
        """Write what was counted since the last time. If Redis does not answer it is dropped: written twice, it would be counted twice."""
        seconds = self._run_times.take()
        try:
            await usage.add_run_seconds(self._client, seconds, time.time())
        except (RedisError, OSError):
            metrics.RUN_SECONDS_LOST.inc(sum(seconds.values()))
            raise
