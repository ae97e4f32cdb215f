"""What one API process at a time looks after: deliveries that are due or lost, jobs that waited too long, old entries of indices."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final

import redis.asyncio

from app import metrics
from app.broker import names
from app.broker.celery import app
from app.broker.envelope import envelope
from app.loops import Loop
from app.settings import Settings
from app.store import batches, dead_letters, jobs, keys, scripts
from app.store.blobs import blobs, peek
from app.store.files import files
from app.store.quarantine import Quarantine

log = logging.getLogger(__name__)
_INTERVAL_S: Final = 1.0
_LEASE_S: Final = 5
_SWEEP_EVERY: Final = 60
_EXPIRE_AT_ONCE: Final = 50
_EXPIRE_A_ROUND: Final = 20
"""Times `_EXPIRE_AT_ONCE`; more wait for the next round, so that nothing else waits for them."""


class Maintenance:
    """Every API process runs it; a lease in Redis lets one of them work. `pools()` names the pools to look at."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        process: str,
        settings: Settings,
        pools: Callable[[], Iterable[str]],
        quarantine: Quarantine,
        loop: Loop | None = None,
    ) -> None:
        self._client = client
        self._process = process.encode()
        self._settings = settings
        self._pools = pools
        self._quarantine = quarantine
        self._loop = loop or Loop("maintenance")
        self._rounds = 0
        self.memory_ratio = 0.0
        """Of Redis' `maxmemory` in use; 0 without a limit."""

    async def run(self) -> None:
        """Until it is cancelled."""
        await self._loop.run(self._turn)

    async def _turn(self) -> float:
        with self._loop.item("the memory of Redis"):
            await self._look_at_memory()
        with self._loop.item("the types of keys"):
            # By every process: where the lease itself has a wrong type, none could take it.
            await self._quarantine.check_types({pool: names.queues(pool) for pool in self._pools()})
        if await self._mine():
            await self.round()
        return _INTERVAL_S

    async def round(self) -> int:
        """One look at every queue. Returns how many deliveries were given a message."""
        self._rounds += 1
        if self._rounds % _SWEEP_EVERY == 1:
            for what, sweep in self._sweeps().items():
                with self._loop.item(what):
                    await sweep()
                self._loop.touch()
        with self._loop.item("expired jobs"):
            for _ in range(_EXPIRE_A_ROUND):
                due = await jobs.expire(self._client, self._quarantine, self._loop, keep=self._settings.result_ttl_s, most=_EXPIRE_AT_ONCE)
                if due < _EXPIRE_AT_ONCE:
                    break
        found = 0
        for pool in self._pools():
            for queue in names.queues(pool):
                with self._loop.item(f"the queue {queue}"):
                    found += await self._enqueue(queue, pool)
                    metrics.QUEUE_LENGTH.labels(queue).set(await self._client.llen(keys.list_of(queue)))
            with self._loop.item(f"the pool {pool}"):
                metrics.IN_FLIGHT.labels(pool).set(await self._client.hlen(keys.PREFIX + keys.unacked(pool)))
        return found

    def _sweeps(self) -> dict[str, Callable[[], Awaitable[object]]]:
        one, client = self._settings, self._client

        async def blob_bytes() -> None:
            metrics.BLOB_BYTES.set(await asyncio.to_thread(blobs().sweep))

        async def file_bytes() -> None:
            metrics.FILE_BYTES.set(await asyncio.to_thread(files().sweep))

        async def letters() -> None:
            metrics.DEAD_LETTERS.set(await dead_letters.sweep(client, one.dead_letter_ttl_s))

        async def notes() -> None:
            metrics.QUARANTINE.set(await self._quarantine.count())

        return {
            "the folder of blobs": blob_bytes,
            "the folder of files": file_bytes,
            "the index of jobs": partial(jobs.sweep, client, 2 * one.job_ttl_s + one.result_ttl_s),
            "the index of batches": partial(batches.sweep, client, 2 * one.file_ttl_s),
            "dead letters": letters,
            "the quarantine": notes,
        }

    async def _enqueue(self, queue: str, pool: str) -> int:
        one = self._settings
        found = await scripts.run_async(self._client, scripts.find_lost(queue, pool, grace_s=one.lost_after_s, silent_s=one.silent_s))
        count = 0
        for id, limit in zip(found[::2], found[1::2], strict=True):
            with self._loop.item(f"the delivery {id.decode(errors='backslashreplace')[:100]}"):
                try:
                    name, limit_s = id.decode(), float(limit)
                except ValueError as error:
                    await self._quarantine.aside(keys.deliveries(queue), id, error, attempts=1)
                    raise
                packed: Any = await self._client.hget(keys.delivery(name), "body")
                shown = peek(packed) if packed else None
                message = envelope(
                    app, names.PREDICT, name, (name, None), queue, time_limit_s=limit_s, enqueued_at=time.time(), shown=shown
                )
                await scripts.run_async(self._client, scripts.enqueue(queue, name, message))
                log.info("delivery %s is in the queue %s again", name, queue)
                count += 1
        return count

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
