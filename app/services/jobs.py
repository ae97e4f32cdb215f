"""Jobs: submit, read, wait for, cancel, and locate in the queue."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import redis.asyncio
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from app.broker import names
from app.broker.batcher.batcher import Batcher
from app.broker.batcher.groups import Accepted, Item
from app.broker.celery import app as celery
from app.broker.eta import StartEstimate
from app.broker.replies import Replies
from app.core import callers, traces
from app.core.concurrency import Concurrency, key_of
from app.core.errors import DeadlineExceeded, JobConflict, JobExpired, JobNotFound, PoolDraining, from_dict
from app.core.jobs import Job, Place, State, created_at
from app.core.models import Manifest
from app.core.tensors import Tensor
from app.core.tiers import Tier
from app.core.tokens import Token
from app.core.webhooks import JobWebhook
from app.services.catalog import Catalog
from app.services.holds import Holds
from app.services.identity import JobIdentity
from app.services.model_pauses import ModelPauses
from app.services.pool_states import PoolStates
from app.services.rate_limits import RateLimits
from app.settings import Settings
from app.store import concurrency as keyed
from app.store import job_inputs, jobs, model_pauses, scripts

_AT_ONCE: Final = 100
"""Jobs that are cancelled together."""
_SILENCE_S: Final = 15.0
"""After this time without an event, a stream repeats the position of a queued job or sends a comment."""


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One event in the life of a job.

    Attributes:
        id: Revision of the job's record. A stream continues after any of them.
        name: `queued`, `start`, `progress`, `output` or `completed`.
        content: The job after the event; for `output`, the token.
    """

    id: int
    name: str
    content: Job | Token


class JobService:
    """The jobs of the platform, as one process submits and watches them."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        settings: Settings,
        batcher: Batcher,
        replies: Replies,
        estimate: StartEstimate,
        catalog: Catalog,
        holds: Holds,
        pools: PoolStates,
        models: ModelPauses,
        rate_limits: RateLimits,
    ) -> None:
        self._client = client
        self._settings = settings
        self._batcher = batcher
        self._replies = replies
        self._estimate = estimate
        self._catalog = catalog
        self._holds = holds
        self._pools = pools
        self._models = models
        self._rate_limits = rate_limits

    async def submit(
        self,
        manifest: Manifest,
        inputs: Sequence[Tensor],
        outputs: tuple[str, ...],
        *,
        deadline_s: float,
        wait_s: float,
        identity: JobIdentity | None = None,
        webhook: JobWebhook | None = None,
        owner: str | None = None,
        tier: Tier = Tier.DEFAULT,
        concurrency: Concurrency | None = None,
    ) -> Job:
        """Submit a durable job and return it as it is when it has ended or `wait_s` have passed.

        Args:
            manifest: The version to predict with.
            inputs: Tensors that match the manifest.
            outputs: Names of the outputs to return.
            deadline_s: Seconds that the job may wait in the queue.
            wait_s: Seconds to wait for its end.
            identity: ID and fingerprint that the caller gave. If the job exists already, it is returned.
            webhook: Receiver to notify of the job's events.
            owner: Owner of the job (default: the owner of the caller). With an owner, no limit refuses the job.
            tier: Service tier of the job.
            concurrency: The concurrency key of the job, which may hold it back, cancel it or let it replace others.

        Raises:
            ScopeMissing: The caller may not use the service tier. No job was made.
            QueueFull: The queue or Redis is full. No job was made.
            PoolDraining: The pool accepts no new work. No job was made.
            RateLimited: A rate limit of the caller is reached. No job was made.
            QuotaExceeded: The owner has as many open jobs, or has used as many run seconds, as it may. No job was made.
            ConcurrencyLimitReached: The concurrency key has its limit of jobs. No job was made.
            StoreUnavailable: Redis is unavailable. No job was made.
            CeleriacError: `identity.conflict`, if the job exists with another payload.
        """
        if owner is None:
            callers.check_tier(tier)
        id, fingerprint = (identity.id, identity.fingerprint) if identity else ("", "")
        rows, pool, size = inputs[0].rows, manifest.pool, sum(len(tensor.data) for tensor in inputs)
        if owner is None:
            charge = self._rate_limits.charge(rows, pools=[pool], bytes=size)
        else:
            charge = self._rate_limits.count(owner, pool, rows, size)
        owner = callers.owner() if owner is None else owner
        try:
            item, accepted = await self._batcher.submit(
                manifest, inputs, outputs, deadline_s, id, fingerprint, webhook, owner, charge, tier, concurrency
            )
        except PoolDraining:
            # A request that repeats an accepted one gets its job.
            if identity is None or await self.find(id) is None:
                raise
            accepted = None
        if identity and accepted is None:
            job = await self.get(id)
            if job.fingerprint != fingerprint:
                raise identity.conflict
            traces.answer_with(job.trace)
        else:
            assert accepted is not None, "a job without an ID of the caller is always new"
            job = item.record = _record(item, accepted, manifest, outputs, tier)
            # The job is stored. An error from here on must not make the caller believe that it does not exist.
            with contextlib.suppress(RedisError, OSError, OperationalError):
                for delivery in accepted.interrupted:
                    await _interrupt(delivery)
                if accepted.became == "cancel":
                    return await self.get(job.id)
        if wait_s > 0:
            with contextlib.suppress(RedisError, OSError):
                return await (self.wait(job.id, wait_s) if accepted is None or concurrency else self._end_of(item, job, wait_s))
        return job

    async def get(self, id: str) -> Job:
        """Return a job. A job that the caller does not see does not exist.

        Raises:
            JobExpired: The record has passed its retention period, as its ID shows.
            JobNotFound: The job does not exist.
        """
        return await self._current(id, await self._read(id))

    async def find(self, id: str) -> Job | None:
        """Return a job without its inputs and its result, or None if the job does not exist."""
        return await self._read(id, whole=False)

    async def inputs(self, job: Job) -> list[Tensor] | None:
        """Return the inputs of a prediction, or None if they are not kept."""
        return None if job.work else await job_inputs.read(self._client, job)

    async def wait(self, id: str, seconds: float) -> Job:
        """Return a job when it has ended, or as it is after `seconds`. Raises the errors of `get`."""
        if seconds <= 0:
            return await self.get(id)
        for record in callers.record_ids(id):
            item = self._batcher.items.get(record)
            if item is not None and item.record is not None and callers.sees(item.owner):
                return await self._end_of(item, item.record, seconds)
        return await self._watched(id, seconds)

    async def cancel(self, id: str) -> Job:
        """Cancel a job that has not ended, and interrupt it if it runs. Returns the job. Raises the errors of `get`."""
        keep, owner = self._settings.result_ttl_s, callers.only_owner()
        for record in callers.record_ids(id):
            before = await jobs.cancel(self._client, record, keep=keep, owner=owner)
            if before is not None:
                break
        job = await self.get(id)
        if before == b"running" and job.delivery:
            await _interrupt(job.delivery)
        return job

    async def cancel_all(self, ids: Sequence[str], owner: str | None) -> list[str]:
        """Cancel those of some records that have not ended and, if an owner is given, belong to it. Returns their IDs. Writes no audit log."""
        keep, cancelled = self._settings.result_ttl_s, list[str]()
        for first in range(0, len(ids), _AT_ONCE):
            some = ids[first : first + _AT_ONCE]
            calls = (scripts.end_job(id, State.CANCELLED, keep=keep, owner=owner) for id in some)
            states = await asyncio.gather(*(scripts.run_async(self._client, call) for call in calls))
            ended = {id: state for id, state in zip(some, states, strict=True) if state in (b"queued", b"running")}
            cancelled += ended
            for id in (id for id, state in ended.items() if state == b"running"):
                job = await jobs.read(self._client, id, whole=False)
                if job is not None and job.delivery:
                    await _interrupt(job.delivery)
        return cancelled

    async def position(self, job: Job) -> Place:
        """Return the position of a queued job in its queue, counting itself, when it may start, and what it waits for."""
        if job.held:
            held = f"Concurrency key {key_of(job.concurrency)!r} has its limit of jobs. The job waits until one of them has ended."
            return Place(await keyed.place(self._client, job.concurrency, job.id), None, held)
        if not job.work and (pause := self._models.pauses.get(job.model)):
            return Place(await model_pauses.place(self._client, job.model, job.delivery), None, pause.describe(job.model))
        left = await jobs.left(self._client, job.queue) if job.left is None else job.left
        position, pool = max(1, job.position - left), names.pool_of(job.queue)
        if paused := self._pools.paused(pool):
            return Place(position, None, paused.describe(pool))
        return Place(position, self._estimate.until_start(job.queue, position, self._catalog.living(pool)))

    async def page(self, cursor: str | None, limit: int, model: str | None, state: State | None) -> tuple[list[Job], str | None]:
        """Return the newest jobs after a cursor that the caller sees, and the cursor of the next page."""
        return await jobs.page(self._client, cursor, limit, model, state, callers.only_owner())

    async def events(self, id: str, last: int = 0) -> AsyncIterator[JobEvent | None]:
        """Yield the events of a job that `get` returned after the event `last`, until it ends or the process shuts down.

        None is yielded when nothing has happened for 15 seconds. A queued job is repeated then, with its new position.
        """
        async with self._replies.watch(id) as changed:
            job = await jobs.watch(self._client, id)
            while job is not None:
                changed.clear()
                for token in await jobs.tokens(self._client, job, last) if job.streamed else ():
                    if last < job.streamed and job.state is State.RUNNING:
                        yield JobEvent(job.streamed, "start", job)
                    last = token.id
                    yield JobEvent(last, "output", token)
                if job.revision > last:
                    last = job.revision
                    yield JobEvent(last, _event_name(job), job)
                if job.state.final:
                    return
                if self._holds.draining:
                    # The client connects again, to a process that stays.
                    yield None
                    return
                if not await self._holds.wait(changed.wait(), _SILENCE_S):
                    yield JobEvent(job.revision, "queued", job) if job.state is State.QUEUED else None
                job = await jobs.read(self._client, id)

    async def _watched(self, id: str, seconds: float) -> Job:
        """Wait for a job that any process may have submitted."""
        end = time.monotonic() + seconds
        for record in callers.record_ids(id):
            async with self._replies.watch(record) as changed:
                job = await jobs.watch(self._client, record, callers.only_owner())
                if job is None:
                    continue
                while not job.state.final and await self._holds.wait(changed.wait(), end - time.monotonic()):
                    changed.clear()
                    job = await self._current(id, await jobs.read(self._client, record))
                return job
        raise self._missing(id)

    async def _end_of(self, item: Item, job: Job, seconds: float) -> Job:
        """Wait for a job that this process submitted: the reply of the worker says how it ended, without a look into Redis."""
        if item.expires_at < time.time() + seconds:
            # It may expire in the meantime, which no worker reports.
            return await self._watched(job.id, seconds)
        await self._holds.wait(asyncio.shield(item.outcome), seconds)
        outcome = item.outcome.result() if item.outcome.done() else None
        if outcome is None or not outcome.started_at:
            return await self.get(job.id)
        ended = replace(
            job,
            attempt=outcome.attempt,
            started_at=outcome.started_at,
            finished_at=outcome.finished_at,
            logs=outcome.logs,
            share=outcome.share,
        )
        ended.cost = self._settings.meter.cost(names.pool_of(job.queue), ended.run_s or 0.0, outcome.share)
        if outcome.error is None:
            ended.state, ended.tensors = State.SUCCEEDED, outcome.outputs
        else:
            ended.state, ended.error = State.FAILED, outcome.error.as_dict()
        return ended

    async def _read(self, id: str, *, whole: bool = True) -> Job | None:
        """Return the job that an ID means to the caller, or None."""
        for record in callers.record_ids(id):
            job = await jobs.read(self._client, record, whole=whole)
            if job is not None and callers.sees(job.owner):
                return job
        return None

    async def _current(self, id: str, job: Job | None) -> Job:
        """Return a job that was read, after it has expired if it waited too long. Raises the errors of `get`."""
        if job is not None and job.state is State.QUEUED and job.expires_at < time.time():
            # No worker has taken it from the queue, which is when an expired job is noticed.
            await scripts.run_async(self._client, scripts.end_job(job.id, State.EXPIRED, keep=self._settings.result_ttl_s))
            job = await jobs.read(self._client, job.id)
        if job is None:
            raise self._missing(id)
        return job

    def _missing(self, id: str) -> JobExpired | JobNotFound:
        """Return the error for a job that does not exist for the caller."""
        created = created_at(id)
        if created is not None and created < time.time() - self._settings.result_ttl_s:
            return JobExpired(f"Job {id} has expired. Results are kept for {self._settings.result_ttl_s} s.")
        return JobNotFound(f"Job {id!r} does not exist.")


def outputs_of(job: Job) -> list[Tensor]:
    """Return the outputs of an ended prediction.

    Raises:
        DeadlineExceeded: The job expired in the queue.
        JobConflict: The job was cancelled.
        CeleriacError: The job failed.
    """
    outputs = job.answered() if job.state is State.SUCCEEDED else None
    if outputs is not None:
        return outputs
    if job.state is State.FAILED and job.error is not None:
        raise from_dict(job.error)
    if job.state is State.EXPIRED:
        raise DeadlineExceeded(f"Job {callers.shown_id(job.id)} did not start before its deadline.")
    raise JobConflict(f"Job {callers.shown_id(job.id)} was cancelled.")


async def _interrupt(delivery: str) -> None:
    """Stop the call of a delivery whose job was cancelled."""
    await asyncio.to_thread(celery.control.broadcast, names.INTERRUPT, arguments={"id": delivery})


def _event_name(job: Job) -> str:
    if job.state is State.RUNNING:
        return "start" if job.progress is None else "progress"
    return "queued" if job.state is State.QUEUED else "completed"


def _record(item: Item, accepted: Accepted, manifest: Manifest, outputs: tuple[str, ...], tier: Tier) -> Job:
    return Job(
        item.job,
        State.QUEUED,
        manifest.name,
        manifest.version,
        outputs,
        item.rows,
        accepted.created_at,
        item.expires_at,
        position=accepted.position,
        left=accepted.left,
        queue=names.queue(manifest.pool, tier),
        owner=item.owner,
        tier=tier,
        concurrency=item.concurrency.name(item.owner) if item.concurrency else "",
        held=accepted.became == "wait",
        trace=item.trace,
    )
