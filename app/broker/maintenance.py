"""Periodic work of one API process at a time: deliveries that are due or lost, expired jobs, old entries of indices."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from itertools import chain
from typing import Final

import redis.asyncio

from app import metrics
from app.broker import names
from app.broker.celery import app
from app.broker.envelope import envelope
from app.broker.fair_share import FairShare
from app.broker.reserved_time import ReservedTime
from app.core.tiers import Tier
from app.loops import IDLE_S, Loop
from app.settings import Settings
from app.store import (
    backlog,
    batches,
    concurrency,
    dead_letters,
    deliveries,
    jobs,
    keys,
    leases,
    live_counts,
    metering,
    model_pauses,
    owners,
    queues,
    scripts,
    stats,
    tiers,
    usage,
)
from app.store.blobs import blobs, peek
from app.store.files import captures, files
from app.store.quarantine import Quarantine
from app.store.redis import memory

log = logging.getLogger(__name__)
_INTERVAL_S: Final = 1.0
_LEASE_S: Final = 5
_SWEEP_EVERY: Final = 60
_CHECK_TYPES_EVERY: Final = 600
"""Rounds between two checks of the types of keys. An error that a wrong type may cause has them checked at once."""
_EXPIRE_AT_ONCE: Final = 50
_EXPIRE_A_ROUND: Final = 20
"""How often `_EXPIRE_AT_ONCE` jobs are expired in one round. More wait for the next round, so that they do not delay other work."""


class Maintenance:
    """The maintenance loop. Every API process runs it; a lease in Redis lets one of them work."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        process: str,
        settings: Settings,
        pools: Callable[[], Iterable[str]],
        quarantine: Quarantine,
        fair_share: FairShare,
        counts: bool,
        slots: Callable[[str], int],
        loop: Loop | None = None,
    ) -> None:
        """`pools()` returns the pools whose queues are maintained; `fair_share` how long their queues are beside a backlog.

        `counts` is whether any owner has a limit, so that what owners have under way is counted.
        `slots(pool)` returns how many predictions a pool runs at once.
        """
        self._client = client
        self._process = process.encode()
        self._settings = settings
        self._pools = pools
        self._quarantine = quarantine
        self._fair_share = fair_share
        self._counts = counts
        self._slots = slots
        self._age_rule = tiers.AgeRule(settings.tier_age_s, settings.infer_timeout_s, settings.silent_s)
        self._loop = loop or Loop("maintenance")
        self._reserved_time = ReservedTime(client, settings.meter)
        self._lease = leases.Lease(client, keys.MAINTENANCE, self._process, _LEASE_S)
        self._rounds = 0
        self._busy = True
        self._maintained: frozenset[str] = frozenset()
        self._memory_ratio = 0.0
        self._memory_read_at = -IDLE_S
        self._memory_asked = False

    async def run(self) -> None:
        """Run until cancelled."""
        await self._loop.run(self._turn)

    async def _turn(self) -> float:
        if self._memory_asked or time.monotonic() - self._memory_read_at >= IDLE_S:
            with self._loop.item("the memory of Redis"):
                await self._read_memory_ratio()
        if self._quarantine.suspicious:
            with self._loop.item("the types of keys"):
                # In the process that met the error: if the lease itself has a wrong type, no process can take it.
                await self._quarantine.check_types(self._queues())
        if await self._lease.hold():
            await self.round()
        return _INTERVAL_S

    def memory_ratio(self) -> float:
        """Return the share of Redis' `maxmemory` in use; 0 without a limit. It is read every second while it is asked for."""
        self._memory_asked = True
        return self._memory_ratio

    def _queues(self) -> dict[str, tuple[str, ...]]:
        return {pool: names.queues(pool) for pool in self._pools()}

    async def round(self) -> int:
        """Check every queue once, if there is work in any. Return how many deliveries were queued again."""
        self._rounds += 1
        if self._rounds % _CHECK_TYPES_EVERY == 1:
            with self._loop.item("the types of keys"):
                await self._quarantine.check_types(self._queues())
        if self._rounds % _SWEEP_EVERY == 1:
            for what, sweep in self._sweeps().items():
                with self._loop.item(what):
                    await sweep()
                self._loop.touch()
        pools = self._queues()
        was_busy, self._busy = self._busy, await queues.work_exists(self._client, pools)
        before, self._maintained = self._maintained, frozenset(pools)
        # One more round after the last work, and one for a new pool, set the metrics to 0.
        if not self._busy and not was_busy and self._maintained == before:
            return 0
        with self._loop.item("concurrency keys"):
            self._repaired(await concurrency.sweep(self._client, self._settings.result_ttl_s))
        with self._loop.item("expired jobs"):
            for _ in range(_EXPIRE_A_ROUND):
                due = await jobs.expire(self._client, self._quarantine, self._loop, keep=self._settings.result_ttl_s, most=_EXPIRE_AT_ONCE)
                if due < _EXPIRE_AT_ONCE:
                    break
        with self._loop.item("deliveries of models that were resumed"):
            await model_pauses.release(self._client)
        queued = 0
        for pool, own in pools.items():
            waiting: dict[str, int] = {}
            for queue in own:
                with self._loop.item(f"the queue {queue}"):
                    queued += await self._enqueue(queue, pool)
                    await self._sweep_backlog(queue)
                    metrics.HELD_BACK.labels(queue).set((await concurrency.held_back(self._client, [queue]))[0])
                    waiting[queue] = await queues.length(self._client, queue)
                    metrics.QUEUE_LENGTH.labels(queue).set(waiting[queue])
            for tier in (Tier.DEFAULT, Tier.FLEX):
                with self._loop.item(f"the service tier {tier} of {pool}"):
                    if waiting.get(names.queue(pool, tier)):
                        await self._move_up(pool, tier)
            with self._loop.item(f"the pool {pool}"):
                metrics.IN_FLIGHT.labels(pool).set(await queues.held(self._client, pool))
        return queued

    def _sweeps(self) -> dict[str, Callable[[], Awaitable[object]]]:
        settings, client = self._settings, self._client

        async def blob_bytes() -> None:
            metrics.BLOB_BYTES.set(await asyncio.to_thread(blobs().sweep))

        async def file_bytes() -> None:
            metrics.FILE_BYTES.set(await asyncio.to_thread(files().sweep))

        async def capture_bytes() -> None:
            metrics.CAPTURE_BYTES.set(await asyncio.to_thread(captures().sweep))

        async def keys_in_use() -> None:
            metrics.CONCURRENCY_KEYS.set(await concurrency.count(client))
            if self._busy:
                for queue in chain.from_iterable(self._queues().values()):
                    self._repaired(await concurrency.sweep_held_back(client, queue))

        async def letters() -> None:
            metrics.DEAD_LETTERS.set(await dead_letters.sweep(client, settings.dead_letter_ttl_s))

        # No record outlives these times.
        jobs_s, batches_s = 2 * settings.job_ttl_s + settings.result_ttl_s, 2 * settings.file_ttl_s
        longest_s = max(jobs_s, batches_s, 2 * settings.job_ttl_s + settings.training_ttl_s)

        async def indexes() -> None:
            metrics.OWNERS.set(await owners.sweep(client, self._quarantine, jobs_s=jobs_s, batches_s=batches_s, longest_s=longest_s))

        async def notes() -> None:
            metrics.QUARANTINE.set(await self._quarantine.count())

        async def series() -> None:
            metrics.STATS_SERIES.set(await stats.sweep(client))

        async def counted() -> None:
            metrics.DRIFT_VERSIONS.set(await live_counts.count(client))

        async def usages() -> None:
            # Without a limit nothing is counted.
            if self._counts:
                await usage.sweep(client, self._rounds // _SWEEP_EVERY)

        async def used() -> None:
            await self._reserved_time.measure()
            metrics.USAGE_SERIES.set(await metering.count(client, time.time()))

        return {
            "the folder of blobs": blob_bytes,
            "the folder of files": file_bytes,
            "the captured rows": capture_bytes,
            "the index of jobs": partial(jobs.sweep, client, jobs_s),
            "the index of batches": partial(batches.sweep, client, batches_s),
            "the indexes of owners": indexes,
            "what owners have under way": usages,
            "deliveries that are held back": keys_in_use,
            "deliveries of paused models": partial(model_pauses.sweep, client, settings.result_ttl_s),
            "dead letters": letters,
            "the quarantine": notes,
            "the figures of models": series,
            "the usage of owners": used,
            "the counts of live rows": counted,
        }

    async def _enqueue(self, queue: str, pool: str) -> int:
        settings = self._settings
        lost = await scripts.run_async(
            self._client, scripts.find_lost(queue, pool, grace_s=settings.lost_after_s, silent_s=settings.silent_s)
        )
        count = 0
        for id, limit in zip(lost[::2], lost[1::2], strict=True):
            with self._loop.item(f"the delivery {id.decode(errors='backslashreplace')[:100]}"):
                try:
                    name, limit_s = id.decode(), float(limit)
                except ValueError as error:
                    await self._quarantine.aside(keys.deliveries(queue), id, error, attempts=1)
                    raise
                packed = await deliveries.body(self._client, name)
                shown = peek(packed) if packed else None
                message = envelope(
                    app, names.PREDICT, name, (name, None), queue, time_limit_s=limit_s, enqueued_at=time.time(), shown=shown
                )
                await scripts.run_async(self._client, scripts.enqueue(queue, name, message))
                log.info("Queued delivery %s again in %s", name, queue)
                count += 1
        return count

    async def _sweep_backlog(self, queue: str) -> None:
        waiting, drift = await backlog.sweep(self._client, queue, self._fair_share.target(queue))
        metrics.BACKLOG.labels(queue).set(waiting)
        metrics.BACKLOG_DRIFT.labels(queue).set(drift)
        if drift:
            log.error("The backlog of %s differs from the lists of its owners by %d deliveries", queue, drift)

    async def _move_up(self, pool: str, tier: Tier) -> None:
        queue, (above, before) = names.queue(pool, tier), names.above(pool, tier)
        most, target = tiers.most(self._slots(pool)), self._fair_share.target(above)
        if moved := await tiers.move_up(self._client, queue, above, before, self._age_rule, most=most, target=target):
            metrics.MOVED_UP.labels(queue).inc(moved)
            log.info("Moved %d deliveries from %s to %s: they have waited for too long", moved, queue, above)

    def _repaired(self, repairs: int) -> None:
        metrics.CONCURRENCY_REPAIRS.inc(repairs)
        if repairs:
            log.error("Repaired %d slots and places of concurrency keys", repairs)

    async def _read_memory_ratio(self) -> None:
        self._memory_asked, self._memory_read_at = False, time.monotonic()
        self._memory_ratio = await memory.used_ratio(self._client)
        metrics.REDIS_MEMORY.set(self._memory_ratio)
