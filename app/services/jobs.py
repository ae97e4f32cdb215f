"""All that one API process holds: its connections, the coalescer, the replies it waits for, the catalogue."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Final

from fastapi import FastAPI
from redis.exceptions import RedisError
from starlette.requests import Request

from app.api.http.budget import Budget
from app.api.http.idempotency import Named
from app.api.http.offload import Offload
from app.api.schemas.serializers import present, present_batch
from app.broker import names
from app.broker.batcher.batcher import Batcher
from app.broker.batcher.groups import Accepted, Item
from app.broker.batches import Batches
from app.broker.celery import app as celery
from app.broker.eta import StartEstimate
from app.broker.maintenance import Maintenance
from app.broker.pipelines import Runs
from app.broker.reconciler import Followups
from app.broker.replies import Replies
from app.core.deliveries import Outcome
from app.core.errors import JobExpired, JobNotFound, StoreUnavailable, StoreUnfit
from app.core.jobs import Job, Place, State, created_at, new_id
from app.core.models import Manifest
from app.core.pipelines import PIPELINE
from app.core.tensors import Tensor
from app.core.webhooks import JobWebhook
from app.hooks.fanout import Shown
from app.hooks.sender import Sender
from app.loops import Loops
from app.pauses import Pauses
from app.registry.pipelines import Pipelines
from app.registry.repository import Repository
from app.services.models import Catalogue
from app.settings import Settings
from app.settings import names as names_in
from app.store import jobs, scripts
from app.store.quarantine import Quarantine
from app.store.redis import health
from app.store.redis.client import connect_async
from app.store.redis.url import current_address

log = logging.getLogger(__name__)
_MEET_S: Final = 1.0


class Gateway:
    """Made when the process starts, closed when it ends. One event loop uses it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.process = new_id(time.time())
        self.bodies = Budget(settings.max_bodies_bytes)
        self.offload = Offload(settings)
        self.redis = connect_async()
        self.loops = Loops(settings.loop_stall_s, settings.loop_dead_s)
        self.quarantine = Quarantine(self.redis, settings)
        self.catalogue = Catalogue(
            Repository(settings.models), self.redis, names_in(settings.autoscaled_pools), self.loops.add("catalogue")
        )
        self.coalescer = Batcher(self.redis, self.process, settings, self.catalogue.slots, self.full)
        self.waits = StartEstimate()
        self.replies = Replies(self.redis, self.process, self._ended, self.loops.add("replies"))
        self.maintenance = Maintenance(
            self.redis,
            self.process,
            settings,
            lambda: self.catalogue.pools() | {settings.training_pool},
            self.quarantine,
            self.loops.add("maintenance"),
        )
        self.followups = Followups(self.redis, self.replies, self.quarantine, self.loops.add("followups"))
        self.batches = Batches(self.redis, self.catalogue.slots, self.cancel)
        self.followups.advance["batch"] = self.batches.advance
        self.pipelines = Pipelines(settings.pipelines_folder)
        self.runs = Runs(self.redis, settings, self.cancel)
        self.followups.advance[PIPELINE] = self.runs.advance
        self.sender = Sender(self.redis, settings, Shown(present, present_batch), loop=self.loops.add("webhooks"))
        self.pauses = Pauses(self.loops.add("pauses"))
        self.leaving = False
        """The process is about to stop: it does all it is asked, and asks not to be sent more."""
        self.draining = False
        self.unfit: str | None = "nobody has looked at Redis yet"
        """Why Redis cannot be used; None where it can."""
        self._holds: set[asyncio.Timeout] = set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self._look()
        await self.catalogue.refresh()
        works = (
            self.meet(),
            self.pauses.run(),
            self.catalogue.run(),
            self.replies.run(),
            self.maintenance.run(),
            self.sender.run(),
            self.followups.run(),
        )
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield
        finally:
            self.leaving = self.draining = True
            left = set(tasks)
            while left:
                # Once is not always enough: redis-py may answer a cancellation with an error of its own, which the tasks outlive.
                for task in left:
                    task.cancel()
                _, left = await asyncio.wait(left, timeout=0.2)
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.redis.aclose()

    async def meet(self) -> None:
        """Looks whether Redis is fit, until it is."""
        loop = self.loops.add("meet")
        while self.unfit is not None:
            await asyncio.sleep(_MEET_S)
            with loop.turn():
                try:
                    await self._look()
                except StoreUnfit as error:
                    if error.detail != self.unfit:
                        log.error("%s", error.detail)
                    self.unfit = error.detail
        self.loops.remove(loop.name)

    async def _look(self) -> None:
        try:
            health.accept(await asyncio.to_thread(health.inspect, current_address(), self.settings))
            self.unfit = None
        except StoreUnavailable as error:
            self.unfit = error.detail

    async def trouble(self) -> str:
        """Why this process should receive no requests, or an empty string."""
        if self.leaving:
            return "the process is stopping"
        try:
            await self.redis.ping()
        except (RedisError, OSError) as error:
            return f"Redis does not answer: {error}"
        return self.unfit or self.loops.stalled()

    def full(self) -> str:
        """Why no prediction is taken now; '' where one is. Raises StoreUnavailable or StoreUnfit."""
        if self.unfit is not None:
            raise StoreUnavailable(self.unfit)
        ratio, limit = self.maintenance.memory_ratio, self.settings.max_memory_ratio
        if ratio <= limit:
            return ""
        return f"Redis has used {ratio:.0%} of its memory, above the limit of {limit:.0%}: try again when jobs have ended"

    def drain(self) -> None:
        """The process stops: whoever is held is answered with what is known now. New work is still done."""
        self.leaving = self.draining = True
        for hold in self._holds:
            hold.reschedule(0)

    @contextlib.asynccontextmanager
    async def holding(self, seconds: float) -> AsyncIterator[None]:
        """The block ends, silently, after `seconds` or when the process stops."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0 if self.draining else seconds) as hold:
                self._holds.add(hold)
                try:
                    yield
                finally:
                    self._holds.discard(hold)

    async def submit(
        self,
        manifest: Manifest,
        inputs: Sequence[Tensor],
        outputs: tuple[str, ...],
        *,
        deadline_s: float,
        wait_s: float,
        named: Named | None = None,
        webhook: JobWebhook | None = None,
    ) -> Job:
        """A durable job, as it is when it has ended or `wait_s` are over; that of the first request where this one is a repetition.

        Raises QueueFull or StoreUnavailable, and then there is none; or what `named` says of another payload under the same id.
        """
        id, fingerprint = (named.id, named.fingerprint) if named else ("", "")
        item, accepted = await self.coalescer.submit(manifest, inputs, outputs, deadline_s, id, fingerprint, webhook)
        if named and accepted is None:
            job = await self.job(id)
            if job.fingerprint != fingerprint:
                raise named.conflict
        else:
            assert accepted is not None, "without an id of the caller's, every job is new"
            job = item.record = self._record(item, accepted, manifest, outputs)
        if wait_s > 0:
            # Redis has it: one that fails only now must not make the caller believe that there is no job.
            with contextlib.suppress(RedisError, OSError):
                return await (self.wait(job.id, wait_s) if accepted is None else self._end_of(item, job, wait_s))
        return job

    async def job(self, id: str) -> Job:
        """Raises JobNotFound, or JobExpired where the id tells that its record is past its time."""
        job = self._found(id, await jobs.read(self.redis, id))
        if job.state is State.QUEUED and job.expires_at < time.time():
            # Nobody has taken it from the queue to notice.
            await scripts.run_async(self.redis, scripts.end_job(id, State.EXPIRED, keep=self.settings.result_ttl_s))
            job = self._found(id, await jobs.read(self.redis, id))
        return job

    async def wait(self, id: str, seconds: float) -> Job:
        """The job when it has ended, or as it is after `seconds`."""
        if seconds <= 0:
            return await self.job(id)
        item = self.coalescer.items.get(id)
        if item is not None and item.record is not None:
            return await self._end_of(item, item.record, seconds)
        return await self._watched(id, seconds)

    async def cancel(self, id: str) -> Job:
        """The job as it is after: cancelled, or ended before. What already runs is interrupted. Raises as `job`."""
        before = await scripts.run_async(self.redis, scripts.end_job(id, State.CANCELLED, keep=self.settings.result_ttl_s))
        job = await self.job(id)
        if before == b"running" and job.delivery:
            await asyncio.to_thread(celery.control.broadcast, names.INTERRUPT, arguments={"id": job.delivery})
        return job

    async def place(self, job: Job) -> Place:
        """How many jobs of its queue come before a queued one, itself counted, and when it may start."""
        left = await jobs.left(self.redis, job.queue) if job.left is None else job.left
        position = max(1, job.position - left)
        slots = self.catalogue.living(names.pool_of(job.queue))
        return Place(position, self.waits.until_start(job.queue, position, slots))

    def _ended(self, delivery: str, outcomes: Sequence[Outcome], late: frozenset[int]) -> None:
        item = self.coalescer.items.get(outcomes[0].job) if outcomes else None
        if item is not None and item.record is not None:
            self.waits.seen(item.record.queue, outcomes[0].run_s, len(outcomes))
        self.coalescer.finish(delivery, outcomes, late)

    async def _watched(self, id: str, seconds: float) -> Job:
        """As `wait`, of a job that anybody may end."""
        async with self.replies.watch(id) as changed:
            job = self._found(id, await jobs.watch(self.redis, id))
            async with self.holding(seconds):
                while not job.state.final:
                    await changed.wait()
                    changed.clear()
                    job = await self.job(id)
            return job

    async def _end_of(self, item: Item, job: Job, seconds: float) -> Job:
        """As `wait`, of a job that this process submitted: its end is known here without asking Redis."""
        if item.expires_at < time.time() + seconds:
            # It may expire meanwhile, of which no worker tells.
            return await self._watched(job.id, seconds)
        async with self.holding(seconds):
            await asyncio.shield(item.outcome)
        outcome = item.outcome.result() if item.outcome.done() else None
        if outcome is None or not outcome.started_at:
            return await self.job(job.id)
        ended = replace(job, attempt=outcome.attempt, started_at=outcome.started_at, finished_at=outcome.finished_at, logs=outcome.logs)
        if outcome.error is None:
            ended.state, ended.tensors = State.SUCCEEDED, outcome.outputs
        else:
            ended.state, ended.error = State.FAILED, outcome.error.as_dict()
        return ended

    @staticmethod
    def _record(item: Item, accepted: Accepted, manifest: Manifest, outputs: tuple[str, ...]) -> Job:
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
            queue=names.interactive(manifest.pool),
        )

    def _found(self, id: str, job: Job | None) -> Job:
        if job is not None:
            return job
        created = created_at(id)
        if created is not None and created < time.time() - self.settings.result_ttl_s:
            raise JobExpired(f"the job {id} has expired: results are kept for {self.settings.result_ttl_s} s")
        raise JobNotFound(f"there is no job {id!r}")


def gateway(where: Request | FastAPI) -> Gateway:
    """The gateway of this process."""
    app: FastAPI = where.app if isinstance(where, Request) else where
    found: Gateway = app.state.gateway
    return found
