"""How many processes a pool wants: reads its work and its figures, and applies the rule of `app.core.scaling`."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from math import ceil
from typing import Final

import redis.asyncio

from app import metrics
from app.broker import names
from app.broker.batches import ASSEMBLY, CHUNK, PLAN
from app.core.batches import TARGET_S
from app.core.pools import PoolMode, PoolState
from app.core.scaling import Capacity, DeadlineWork, Demand, ModelDemand, Promise, Wanted, arrival_rate, wanted
from app.core.stats import DAY_S, Figures, Series, quantile
from app.settings import Settings, seconds_by_pool
from app.store import batches, demand, model_pauses, pools, queues, stats
from app.store.demand import QueueDemand
from app.store.workers import Worker

_MINUTE_S: Final = 60
_HALF_HOUR_S: Final = 1800
_FRESH_S: Final = 1.0
"""How old an answer may be."""
_SLOW_S: Final = 10.0
"""How old may be what changes slowly: run times, and what is left of batches."""
_BATCH_KINDS: Final = frozenset({PLAN, CHUNK, ASSEMBLY})


@dataclass(frozen=True, slots=True)
class PoolDemand:
    """What a pool has to do, and what it wants.

    Attributes:
        demand: Its work.
        capacity: Its processes.
        promise: What its callers were promised, or None: then it wants a process for each delivery.
        wanted: Processes, pods and reasons.
        wait_p95_s: 95th percentile of the waits of the last one to two minutes, or None if no job started.
    """

    demand: Demand
    capacity: Capacity
    promise: Promise | None
    wanted: Wanted
    wait_p95_s: float | None


UNNAMED: Final = PoolDemand(Demand(), Capacity(0), None, Wanted(0, 0, ("No model and no worker names the pool.",)), None)
"""The demand of a pool that no model and no worker names."""


@dataclass(slots=True)
class _Slow:
    """What changes slowly in a pool: its series, seconds of a process per job by model, its batches, and when its last job came."""

    read_at: float = -math.inf
    series: list[Series] = field(default_factory=list)
    service_s: Mapping[str, float] = field(default_factory=dict)
    deadlines: tuple[DeadlineWork, ...] = ()
    batches: int = 0
    last_job_at: float | None = None


class PoolDemands:
    """Reads the demand of pools, at most once a second for each."""

    def __init__(self, client: redis.asyncio.Redis, settings: Settings, is_direct: Callable[[str, str], bool]) -> None:
        """`is_direct(name, version)` returns whether API processes predict with a version themselves."""
        self._client = client
        self._is_direct = is_direct
        self._slo_s = seconds_by_pool(settings.pool_slo)
        self._keep_warm_s = seconds_by_pool(settings.pool_keep_warm)
        self._tier_age_s = settings.tier_age_s
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._slow: defaultdict[str, _Slow] = defaultdict(_Slow)
        self._latest: dict[str, tuple[float, PoolDemand]] = {}

    @property
    def promised(self) -> Iterable[str]:
        """The pools with a promise."""
        return self._slo_s

    async def read(self, pool: str, workers: Sequence[Worker], starting: int, state: PoolState | None) -> PoolDemand:
        """Return the demand of a pool.

        Args:
            pool: The pool. The caller has checked that it exists, which bounds what is remembered.
            workers: Its living workers.
            starting: How many of its pods start.
            state: Its state if it is paused or draining.
        """
        async with self._locks[pool]:
            read_at, latest = self._latest.get(pool, (-math.inf, None))
            if latest is None or time.monotonic() - read_at >= _FRESH_S:
                latest = await self._read(pool, workers, starting, state)
                self._latest[pool] = time.monotonic(), latest
                _measure(pool, latest)
        return latest

    async def _read(self, pool: str, workers: Sequence[Worker], starting: int, state: PoolState | None) -> PoolDemand:
        now, slo_s = time.time(), self._slo_s.get(pool)
        promise = None if slo_s is None else Promise(slo_s, self._keep_warm_s.get(pool, 0.0))
        waiting = await demand.read(self._client, names.queues(pool))
        slow = await self._read_slow(pool, now, {model for queue in waiting for kind, model in queue.jobs if not kind})
        running = await queues.held(self._client, pool)
        before, minute = [await stats.bucket(self._client, slow.series, at, _MINUTE_S) for at in (now - _MINUTE_S, now)]
        work = self._demand(now, slo_s, slow, waiting, running, before, minute)
        each = max((worker.processes for worker in workers), default=1)
        start_s = await pools.start_seconds(self._client, pool) or 0.0
        capacity = Capacity(sum(worker.processes for worker in workers), starting * each, start_s, each)
        paused = state is not None and state.mode is PoolMode.PAUSED
        if paused:
            result = Wanted(running, ceil(running / each), ("The pool is paused: only what runs keeps its processes.",))
        elif promise is None:
            count = running + sum(queue.waiting for queue in waiting)
            result = Wanted(count, ceil(count / each), (f"{count} deliveries wait or run. Without a promise, each counts as one process.",))
        else:
            result = wanted(work, capacity, promise)
        waits = [sum(counts) for counts in zip(*(figures.waits for figures in (*before, *minute)), strict=True)]
        return PoolDemand(work, capacity, promise, result, quantile(waits, 0.95))

    def _demand(
        self,
        now: float,
        slo_s: float | None,
        slow: _Slow,
        waiting: Sequence[QueueDemand],
        running: int,
        before: Sequence[Figures],
        minute: Sequence[Figures],
    ) -> Demand:
        """Combine what was read. Without figures of its model, a job that waits counts as if it took as long as the promise."""
        priority, interactive, bulk, flex = waiting
        unknown_s, longest_s = slo_s or TARGET_S, slo_s or math.inf
        rates, jobs = defaultdict[str, float](float), defaultdict[str, float](float)
        for series, earlier, current in zip(slow.series, before, minute, strict=True):
            if series.model in slow.service_s and not self._is_direct(series.model, series.version):
                rates[series.model] += arrival_rate(earlier.submitted, current.submitted, now % _MINUTE_S)
        tasks, branches = 0.0, 0.0
        for queue in (priority, interactive, bulk):
            for (kind, model), count in queue.jobs.items():
                if kind in _BATCH_KINDS:
                    continue
                tasks += count if kind else 0
                branches += count if queue is bulk else 0
                jobs[model] += 0 if kind else count
        models = [ModelDemand(rates[model], slow.service_s.get(model, unknown_s), jobs[model]) for model in sorted({*rates, *jobs})]
        flex_s = sum(count * (TARGET_S if kind else slow.service_s.get(model, unknown_s)) for (kind, model), count in flex.jobs.items())
        # Not chunks of batches: they run in every process that there is, and would want others beside themselves.
        long = sum(
            now - began > longest_s or slow.service_s.get(model, 0.0) > longest_s
            for queue in (priority, interactive, flex)
            for model, began in queue.running
        )
        oldest = min((queue.oldest_at for queue in (priority, interactive) if queue.oldest_at is not None), default=now)
        return Demand(
            models=(*models, ModelDemand(0.0, TARGET_S, tasks)),
            waiting=priority.waiting + interactive.waiting + ceil(branches),
            running=running,
            running_long=min(long, running),
            oldest_wait_s=max(0.0, now - oldest),
            deadlines=(*slow.deadlines, *([DeadlineWork(flex_s, self._tier_age_s)] if flex.waiting else [])),
            background=bulk.waiting - min(bulk.waiting, ceil(branches)) + flex.waiting + slow.batches,
            idle_s=math.inf if slow.last_job_at is None else now - slow.last_job_at,
        )

    async def _read_slow(self, pool: str, now: float, models: AbstractSet[str]) -> _Slow:
        """Return what changes slowly. It is read again for models whose run times are not known: their first jobs may just have ended."""
        slow = self._slow[pool]
        if slow.service_s.keys() >= models and time.monotonic() - slow.read_at < _SLOW_S:
            return slow
        series = [each for each in await stats.series(self._client) if each.pool == pool]
        paused = await model_pauses.names(self._client)
        active = [batch for batch in await batches.active(self._client, pool) if batch.spec.model not in paused]
        deadlines = [DeadlineWork((batch.rows - batch.done) / batch.speed, batch.expires_at - now) for batch in active if batch.speed]
        keep_warm_s = self._keep_warm_s.get(pool)
        last_job_at = await stats.last_submitted(self._client, series, now, keep_warm_s) if keep_warm_s and series else None
        self._slow[pool] = _Slow(time.monotonic(), series, await self._service_s(series, now), tuple(deadlines), len(active), last_job_at)
        return self._slow[pool]

    async def _service_s(self, series: Sequence[Series], now: float) -> dict[str, float]:
        """Return the seconds of a process that a job takes, by model: of the last half hour to hour, or else of the last days."""
        service_s: dict[str, float] = {}
        for length_s in (_HALF_HOUR_S, DAY_S):
            runs, seconds = Counter[str](), defaultdict[str, float](float)
            for at in (now - length_s, now):
                for each, figures in zip(series, await stats.bucket(self._client, series, at, length_s), strict=True):
                    runs[each.model] += figures.ran
                    seconds[each.model] += figures.run_s
            service_s = {model: seconds[model] / count for model, count in runs.items() if count} | service_s
        return service_s


def _measure(pool: str, read: PoolDemand) -> None:
    metrics.POOL_WANTED.labels(pool).set(read.wanted.processes)
    metrics.POOL_ARRIVAL_RATE.labels(pool).set(read.demand.arrival_rate)
    metrics.POOL_WAITING_WORK.labels(pool).set(read.demand.waiting_work_s)
    metrics.POOL_OLDEST_WAIT.labels(pool).set(read.demand.oldest_wait_s)
    metrics.POOL_WAIT_P95.labels(pool).set(read.wait_p95_s or 0.0)
