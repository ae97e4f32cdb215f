"""Diagnosis: why a job waits, and why it was slow."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import redis.asyncio

from app.broker import names
from app.core.diagnosis import Station, Usual, explain, stations
from app.core.jobs import Job, State
from app.core.pipelines import PIPELINE
from app.core.stats import DAY_S, Series
from app.core.timestamps import rfc3339
from app.services.catalog import Catalog
from app.services.jobs import JobService
from app.services.model_entry import Readiness
from app.services.pools import PoolService
from app.store import stats

_HALF_HOUR_S: Final = 1800


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What can be said of a job.

    Attributes:
        job: The job.
        stations: Its time by station.
        reasons: Sentences on why it waits or was slow. Empty if nothing is unusual.
    """

    job: Job
    stations: list[Station]
    reasons: list[str]


class DiagnosisService:
    """Explains jobs, from their records, the figures of their version, the pool and the catalog."""

    def __init__(
        self, client: redis.asyncio.Redis, jobs: JobService, pools: PoolService, catalog: Catalog, clock: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._jobs = jobs
        self._pools = pools
        self._catalog = catalog
        self._clock = clock

    async def of_job(self, id: str) -> Diagnosis:
        """Return the diagnosis of a job. Raises the errors of `JobService.get`."""
        job = await self._jobs.get(id)
        now = self._clock()
        waits, runs = await self._usual(job, now)
        parts = stations(job, now, waits, runs)
        waiting = await self._waiting(job) if job.state is State.QUEUED else []
        return Diagnosis(job, parts, waiting + explain(job, parts))

    async def _usual(self, job: Job, now: float) -> tuple[Usual | None, Usual | None]:
        """Return the usual waits and runs of the version: of the last half hour to hour, or else of the last one or two days."""
        if job.work:
            return None, None
        series = [Series(names.pool_of(job.queue), job.model, job.version)]
        waits, runs = None, None
        for length_s in (_HALF_HOUR_S, DAY_S):
            [before], [current] = [await stats.bucket(self._client, series, at, length_s) for at in (now - length_s, now)]
            waits = waits or Usual.of(_sum(before.waits, current.waits))
            runs = runs or Usual.of(_sum(before.runs, current.runs))
        return waits, runs

    async def _waiting(self, job: Job) -> list[str]:
        """Return sentences on what a queued job waits for, the most important first."""
        place = await self._jobs.position(job)
        if place.waits_for:
            return [place.waits_for]
        if job.work == PIPELINE or not job.queue:
            return ["The run waits for its steps. Look at the steps that have not ended."]
        pool = names.pool_of(job.queue)
        reasons = (await self._pools.overview()).obstacles(pool)
        entry = self._catalog.entries.get(job.model)
        version = entry.versions.get(job.version) if entry else None
        if not job.work and version is None:
            reasons.append(f"Model {job.model}@{job.version} is not in the repository any more. Publish it again, or cancel the job.")
        elif not job.work and version is not None and version.state is Readiness.UNAVAILABLE:
            reasons.append(f"Model {job.model}@{job.version} cannot be served: {version.reason}")
        reasons.append(_turn(place.position, self._catalog.living(pool), pool, place.start_s))
        reasons.append(f"If no worker starts it until {rfc3339(job.expires_at)}, the job expires.")
        return reasons


def _turn(position: int, processes: int, pool: str, start_s: float | None) -> str:
    before = {0: "No job is", 1: "1 job is"}.get(position - 1, f"{position - 1} jobs are")
    starts = "" if start_s is None else f" It starts in about {start_s:.3g} s."
    return f"{before} before it in the queue. Pool {pool!r} has {processes} {'process' if processes == 1 else 'processes'}.{starts}"


def _sum(before: Sequence[int], current: Sequence[int]) -> list[int]:
    return [a + b for a, b in zip(before, current, strict=True)]
