"""Batches: create, list, cancel and resume them, and read their parts and events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

import redis.asyncio

from app.broker.batches import BatchReconciler
from app.broker.replies import Replies
from app.core import audit, callers
from app.core.api_keys import DEFAULT_OWNER
from app.core.audit import Action, Target
from app.core.batches import RESUMABLE, Batch, BatchSpec, Part, Status
from app.core.errors import BatchConflict, BatchNotFound, CeleriacError, FileNotFound, InvalidFile, QueueFull, QuotaExceeded, from_dict
from app.core.jobs import new_id
from app.core.quotas import BATCHES_OPEN, Quota
from app.services.holds import Holds
from app.services.pool_states import PoolStates
from app.services.rate_limits import RateLimits
from app.settings import Settings
from app.store import batches, parents, sources
from app.store.batch_folders import Content, part_name
from app.store.batches import Change
from app.store.files import files
from app.store.sources import Source

_SILENCE_S: Final = 15.0
_MAX_ERRORS: Final = 5
"""Errors of a file that are named when it is refused."""


class BatchService:
    """The batches of the platform."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        settings: Settings,
        progress: BatchReconciler,
        replies: Replies,
        holds: Holds,
        pools: PoolStates,
        rate_limits: RateLimits,
    ) -> None:
        self._client = client
        self._settings = settings
        self._progress = progress
        self._replies = replies
        self._holds = holds
        self._pools = pools
        self._rate_limits = rate_limits

    async def create(self, spec: BatchSpec) -> Batch:
        """Begin a batch and return it when its file has been checked, or as it is after `batch_validate_s`.

        Raises:
            QueueFull: Too many batches are running in the pool.
            QuotaExceeded: The owner has as many open batches, or has used as many run seconds, as it may.
            PoolDraining: The pool accepts no new work.
            BatchConflict: Another batch writes the same output.
            InvalidFile: The file is invalid. The batch is forgotten.
        """
        id = f"batch_{new_id(time.time())}"
        await self.begin(spec, id)
        batch = await self._checked(id)
        if batch.status is Status.FAILED:
            await batches.forget(self._client, id, spec)
            await asyncio.to_thread(files().batch(id).remove)
            raise _refusal(batch)
        return batch

    async def begin(self, spec: BatchSpec, id: str) -> None:
        """Begin a batch under an ID. Nothing happens if it exists already.

        Raises:
            QueueFull: Too many batches are running in the pool.
            QuotaExceeded: The owner has as many open batches, or has used as many run seconds, as it may.
            PoolDraining: The pool accepts no new work.
            BatchConflict: Another batch writes the same output.
        """
        if self._pools.refusal(spec.pool) and await batches.read(self._client, id) is None:
            self._pools.check(spec.pool)
        try:
            await self._rate_limits.check_run(self._client, spec.owner or DEFAULT_OWNER, spec.pool)
        except QuotaExceeded:
            if await batches.read(self._client, id) is None:
                raise
        most, quota = self._settings.max_batches, self._quota(spec)
        created = await batches.create(self._client, id, spec, time.time(), most, quota)
        if not created and await batches.read(self._client, id) is None:
            raise QueueFull(f"The limit of {most} running batches in pool {spec.pool!r} is reached. Try again later.", retry_after_s=30)
        try:
            await self._claim_output(id, spec)
        except BatchConflict:
            await batches.forget(self._client, id, spec)
            raise
        await self._progress.reconcile(id)

    async def get(self, id: str) -> Batch:
        """Return a batch. A batch that the caller does not see does not exist.

        Raises:
            BatchNotFound: The batch does not exist.
        """
        batch = await self.find(id)
        if batch is None or not callers.sees(batch.spec.owner):
            raise BatchNotFound(f"Batch {id!r} does not exist or has passed its retention period.")
        return batch

    async def find(self, id: str) -> Batch | None:
        """Return a batch, or None if it does not exist."""
        return await batches.read(self._client, id)

    async def page(self, after: str | None, limit: int) -> tuple[list[Batch], bool]:
        """Return the newest batches after an ID that the caller sees, and whether there are more."""
        return await batches.page(self._client, after, limit, callers.only_owner())

    async def cancel(self, id: str) -> Batch:
        """Stop a batch. Finished rows are kept. Returns the batch.

        Raises:
            BatchNotFound: The batch does not exist.
            BatchConflict: The batch has ended.
        """
        batch = await self.get(id)
        change = Change((Status.VALIDATING, Status.IN_PROGRESS), set={"outcome": Status.CANCELLED}, status=Status.CANCELLING)
        if not await batches.apply(self._client, id, batch.spec.pool, change, _entry(Action.BATCH_CANCELLED, batch)):
            batch = await self.get(id)
            if batch.status is not Status.CANCELLING:
                raise BatchConflict(f"Batch {id} is {batch.status}. Only a running batch can be cancelled.")
        await parents.due_now(self._client, f"batch:{id}")
        return await self.get(id)

    async def resume(self, id: str) -> Batch:
        """Continue a batch that failed, expired or was cancelled, with a new completion window. Returns the batch.

        Raises:
            BatchNotFound: The batch does not exist.
            BatchConflict: The batch has not ended, has completed, or another batch writes its output.
            QuotaExceeded: The owner has as many open batches as it may.
            KeyRestricted: The caller may not use the model or its pool.
        """
        batch = await self.get(id)
        spec = batch.spec
        callers.check_model(spec.model)
        callers.check_pool(spec.pool)
        await self._rate_limits.check_run(self._client, spec.owner or DEFAULT_OWNER, spec.pool)
        await self._claim_output(id, spec)
        expires_at, quota = time.time() + spec.window_s, self._quota(spec)
        change = Change(
            tuple(RESUMABLE),
            expect={"revision": str(batch.revision)},
            quota=(spec.owner or DEFAULT_OWNER, quota) if quota else None,
            set={"expires_at": expires_at, "errors": [], "outcome": "", "round": batch.round + 1, "before": batch.done},
            status=Status.IN_PROGRESS if batch.rows else Status.VALIDATING,
            ttl=spec.window_s + spec.ttl_s,
        )
        if not await batches.apply(self._client, id, spec.pool, change, _entry(Action.BATCH_RESUMED, batch)):
            batch = await self.get(id)
            raise BatchConflict(f"Batch {id} is {batch.status}. Only a batch that failed, expired or was cancelled can be resumed.")
        await parents.due_now(self._client, f"batch:{id}")
        return await self.get(id)

    async def parts(self, id: str) -> list[Part]:
        """Return the finished parts in the order of their rows. A completed batch has none, because they were joined.

        Raises:
            BatchNotFound: The batch does not exist.
        """
        batch = await self.get(id)
        return await batches.parts(self._client, id) if batch.status is not Status.COMPLETED else []

    async def part_file(self, id: str, first: int) -> tuple[str, Content]:
        """Return the name and the content of a finished part.

        Args:
            id: ID of the batch.
            first: First row of the part.

        Raises:
            BatchNotFound: The batch does not exist.
            FileNotFound: The part does not exist.
        """
        await self.get(id)
        part = next((part for part in await batches.parts(self._client, id) if part.first == first and part.completed), None)
        folder = files().batch(id)
        if part is None or not await asyncio.to_thread(folder.exists, part_name(part)):
            raise FileNotFound(f"Batch {id} has no part that begins with row {first}. It is not finished, or was joined already.")
        return part_name(part).rpartition("/")[2], folder.content(part_name(part))

    async def events(self, id: str, last: int = 0) -> AsyncIterator[Batch | None]:
        """Yield a batch whenever it changes after the revision `last`, until it ends or the process shuts down.

        None is yielded when nothing has happened for 15 seconds.
        """
        async with self._replies.watch(id) as changed:
            while True:
                changed.clear()
                batch = await self.find(id)
                if batch is None:
                    return
                if batch.revision > last:
                    last = batch.revision
                    yield batch
                if batch.status.final or self._holds.draining:
                    return
                if not await self._holds.wait(changed.wait(), _SILENCE_S):
                    yield None

    def _quota(self, spec: BatchSpec) -> Quota | None:
        return self._rate_limits.quota(BATCHES_OPEN, spec.owner or DEFAULT_OWNER)

    async def _claim_output(self, id: str, spec: BatchSpec) -> None:
        """Reserve the output of a batch. Raises BatchConflict if another running batch writes it."""
        if not spec.output:
            return
        identity = await asyncio.to_thread(sources.identity, Source(**spec.output))
        holder = await batches.claim_output(self._client, identity, id, spec.window_s + spec.ttl_s)
        if holder != id:
            other = await self.find(holder)
            which = f"Batch {holder}" if other is not None and callers.sees(other.spec.owner) else "Another batch"
            raise BatchConflict(f"{which} writes the same output. Wait until it ends, or name another output.", pointer="/output")

    async def _checked(self, id: str) -> Batch:
        end = time.monotonic() + self._settings.batch_validate_s
        async with self._replies.watch(id) as changed:
            batch = await self.get(id)
            while batch.status is Status.VALIDATING and await self._holds.wait(changed.wait(), end - time.monotonic()):
                changed.clear()
                batch = await self.get(id)
            return batch


def _entry(action: Action, batch: Batch) -> bytes:
    """Return the entry of the audit log for a change of another owner's batch. Owners change their own without one."""
    if not callers.acts_for_another(batch.spec.owner or DEFAULT_OWNER):
        return b""
    return audit.draft(action, Target("batch", batch.id), before={"status": batch.status})


def _refusal(batch: Batch) -> CeleriacError:
    """Return the error for a batch whose file is invalid."""
    first = batch.errors[0]
    if not batch.spec.endpoint or first["line"] is None:
        error = from_dict({"code": first["code"], "detail": first["message"], "pointer": first["param"]})
        return error if type(error) is not CeleriacError else InvalidFile(f"{first['code']}: {first['message']}", pointer="/input_file_id")
    lines = [f"line {error['line']}: {error['code']}: {error['message']}" for error in batch.errors[:_MAX_ERRORS]]
    more = len(batch.errors) - len(lines)
    return InvalidFile("; ".join(lines) + (f"; and {more} more" if more > 0 else ""), pointer="/input_file_id")
