"""What one API process at a time looks after: deliveries that are due or lost, jobs that waited too long, old entries of indices."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import redis.asyncio
from redis.exceptions import RedisError

from app import metrics
from app.broker import names
from app.broker.celery import app
from app.broker.envelope import envelope
from app.settings import Settings
from app.store import batches, dead_letters, jobs, keys, scripts
from app.store.blobs import blobs, peek
from app.store.files import files

log = logging.getLogger(__name__)
_INTERVAL_S: Final = 1.0
_LEASE_S: Final = 5
_SWEEP_EVERY: Final = 60
_EXPIRE_AT_ONCE: Final = 50
_EXPIRE_A_ROUND: Final = 20
"""Times `_EXPIRE_AT_ONCE`; more wait for the next round, so that nothing else waits for them."""


class Maintenance:
    """Every API process runs it; a lease in Redis lets one of them work. `pools()` names the pools to look at."""

    def __init__(self, client: redis.asyncio.Redis, process: str, settings: Settings, pools: Callable[[], Iterable[str]]) -> None:
        self._client = client
        self._process = process.encode()
        self._settings = settings
        self._pools = pools
        self._rounds = 0
        self.memory_ratio = 0.0
        """Of Redis' `maxmemory` in use; 0 without a limit."""

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await self._look_at_memory()
                if await self._mine():
                    await self.round()
            except (RedisError, OSError) as error:
                log.warning("maintenance waits for Redis: %s", error)
            await asyncio.sleep(_INTERVAL_S)

    async def round(self) -> int:
        """One look at every queue. Returns how many deliveries were given a message."""
        self._rounds += 1
        if self._rounds % _SWEEP_EVERY == 1:
            metrics.BLOB_BYTES.set(await asyncio.to_thread(blobs().sweep))
            metrics.FILE_BYTES.set(await asyncio.to_thread(files().sweep))
            await jobs.sweep(self._client, 2 * self._settings.job_ttl_s + self._settings.result_ttl_s)
            await batches.sweep(self._client, 2 * self._settings.file_ttl_s)
            metrics.DEAD_LETTERS.set(await dead_letters.sweep(self._client, self._settings.dead_letter_ttl_s))
        for _ in range(_EXPIRE_A_ROUND):
            if await jobs.expire(self._client, keep=self._settings.result_ttl_s, most=_EXPIRE_AT_ONCE) < _EXPIRE_AT_ONCE:
                break
        found = 0
        for pool in self._pools():
            for queue in (names.interactive(pool), names.bulk(pool)):
                found += await self._enqueue(queue, pool)
                metrics.QUEUE_LENGTH.labels(queue).set(await self._client.llen(keys.list_of(queue)))
            metrics.IN_FLIGHT.labels(pool).set(await self._client.hlen(keys.PREFIX + keys.unacked(pool)))
        return found

    async def _enqueue(self, queue: str, pool: str) -> int:
        one = self._settings
        found = await scripts.run_async(self._client, scripts.stray(queue, pool, grace_s=one.lost_after_s, silent_s=one.silent_s))
        for id, limit in zip(found[::2], found[1::2], strict=True):
            name = id.decode()
            packed: Any = await self._client.hget(keys.delivery(name), "body")
            shown = peek(packed) if packed else None
            message = envelope(
                app, names.PREDICT, name, (name, None), queue, time_limit_s=float(limit), enqueued_at=time.time(), shown=shown
            )
            await scripts.run_async(self._client, scripts.enqueue(queue, name, message))
            log.info("delivery %s is in the queue %s again", name, queue)
        return len(found) // 2

    async def _mine(self) -> bool:
        if await self._client.set(keys.MAINTENANCE, self._process, nx=True, ex=_LEASE_S):
            return True
        if await self._client.get(keys.MAINTENANCE) != self._process:
            return False
        await self._client.expire(keys.MAINTENANCE, _LEASE_S)
        return True

    async def _look_at_memory(self) -> None:
        found = await self._client.info("memory")
        limit = int(found.get("maxmemory", 0))
        self.memory_ratio = int(found["used_memory"]) / limit if limit else 0.0
        metrics.REDIS_MEMORY.set(self.memory_ratio)
