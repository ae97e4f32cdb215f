"""The next step of a batch: plan its file, release chunks, assemble the parts. The owners of a pool's batches take turns.

Two processes may run this at once, and it may be killed anywhere: each change of a record compares first, the id of each job follows from
the batch's id, and the next look submits jobs that were released but not submitted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

import redis.asyncio

from app import metrics
from app.broker import names, submission
from app.broker.chunk_results import after_job, error_of, result_of
from app.core.api_keys import DEFAULT_OWNER
from app.core.batches import MOST_ERRORS, Batch, Candidate, Chunk, Status, choose, cut
from app.core.jobs import Job, State
from app.core.models import RetryPolicy
from app.core.rate_limits import Charge
from app.core.spans import EndedJob, Export, of_delivery
from app.settings import Settings
from app.store import batches, jobs, model_pauses
from app.store.batches import Change
from app.store.files import files

log = logging.getLogger(__name__)
PLAN, CHUNK, ASSEMBLY = "plan", "chunk", "assembly"
_AGAIN_S: Final = 30.0
_STOPPING_S: Final = 1.0
_LONG_S: Final = 24 * 3600.0
"""The time limit of planning a file, and of assembling parts."""
_TRIES: Final = RetryPolicy(max_attempts=2)
_STATES: Final = {Status.COMPLETED: State.SUCCEEDED, Status.CANCELLED: State.CANCELLED}


class BatchReconciler:
    """The reconciliation of batches in one API process."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        settings: Settings,
        slots: Callable[[str], int],
        cancel: Callable[[str], Awaitable[Any]],
        charge: Callable[[str, str], Charge | None],
        export: Export | None = None,
    ) -> None:
        """`slots(pool)` returns how many jobs a pool runs at once; `cancel` cancels a job; `charge(owner, pool)` returns what counts for an owner.

        `export` takes the span of a batch that has ended.
        """
        self._client = client
        self._settings = settings
        self._slots = slots
        self._cancel = cancel
        self._charge = charge
        self._export = export

    async def reconcile(self, id: str) -> float | None:
        """Decide and submit what a batch needs next. Return the seconds until the next look, or None."""
        batch = await batches.read(self._client, id)
        if batch is None:
            return None
        if batch.status is Status.VALIDATING:
            return await self._validate(batch)
        if batch.status is Status.IN_PROGRESS:
            return await self._go_on(batch)
        if not batch.status.final:
            return await self._end(batch)
        await self._release(batch.spec.pool)
        return None

    async def _validate(self, batch: Batch) -> float | None:
        name = plan_job(batch)
        job = await jobs.read(self._client, name)
        if job is None or not job.state.final:
            if job is None and name in await batches.out(self._client, batch.spec.pool):
                await self._submit_plan(batch)  # released by a process that died before it submitted the job
            await self._release(batch.spec.pool)
            return _AGAIN_S
        result = result_of(job)
        if result.get("more"):
            change = Change((Status.VALIDATING,), set={"planned": batch.planned + 1})
        elif job.state is not State.SUCCEEDED or result.get("errors"):
            change = Change((Status.VALIDATING,), set={"errors": result.get("errors") or [error_of(job)]}, status=Status.FAILED)
        else:
            change = Change((Status.VALIDATING,), set={"rows": result["rows"], "step": result["step"]}, status=Status.IN_PROGRESS)
        change.back = [name]
        if await batches.apply(self._client, batch.id, batch.spec.pool, change) and change.status:
            self._trace(batch, change.status)
        return await self.reconcile(batch.id)

    async def _go_on(self, batch: Batch) -> float | None:
        error = await self._fold(batch)
        current = await batches.read(self._client, batch.id)
        if current is None or current.status is not Status.IN_PROGRESS:
            return await self.reconcile(batch.id)
        left_s = current.expires_at - time.time()
        outcome = Status.FAILED if error else Status.EXPIRED if left_s <= 0 else None
        if outcome is None and current.done == current.rows and not await batches.chunks(self._client, batch.id):
            outcome = Status.COMPLETED
        if outcome is None:
            await self._release(batch.spec.pool)
            return min(_AGAIN_S, left_s + 0.1)
        settled = {"outcome": outcome, "errors": [error] if error else []}
        await batches.apply(self._client, batch.id, batch.spec.pool, Change((Status.IN_PROGRESS,), set=settled, status=Status.FINALIZING))
        return await self.reconcile(batch.id)

    async def _end(self, batch: Batch) -> float | None:
        """Cancel the outstanding chunks, then assemble the finished parts."""
        await self._fold(batch, stop=True)
        if any(chunk.out for chunk in await batches.chunks(self._client, batch.id)):
            return _STOPPING_S
        batch = await batches.read(self._client, batch.id) or batch
        outcome = Status(batch.outcome or Status.CANCELLED)
        change = Change((batch.status,), status=outcome)
        if batch.rows or Status.IN_PROGRESS in batch.times:  # it was planned, perhaps without rows
            job = await self._job(
                batch, f"{batch.id}-{ASSEMBLY}-{batch.round}", ASSEMBLY, {"order": batch.spec.as_dict(), "outcome": outcome}
            )
            if not job.state.final:
                return _AGAIN_S
            if job.state is State.SUCCEEDED:
                change.set = result_of(job)
            else:
                change = Change((batch.status,), set={"errors": [*batch.errors, error_of(job)][:MOST_ERRORS]}, status=Status.FAILED)
        else:
            change.back = [plan_job(batch)]
            if await jobs.read(self._client, plan_job(batch)):
                await self._cancel(plan_job(batch))
        if await batches.apply(self._client, batch.id, batch.spec.pool, change) and change.status:
            self._trace(batch, change.status)
            metrics.BATCHES_ENDED.labels(batch.spec.model, change.status).inc()
            if change.status is Status.COMPLETED:
                await asyncio.to_thread(files().batch(batch.id).remove)
        await self._release(batch.spec.pool)
        return None

    def _trace(self, batch: Batch, status: Status) -> None:
        """Export the span of a batch that has ended."""
        if self._export is None or batch.trace is None or not status.final:
            return
        spec, state = batch.spec, _STATES.get(status, State.FAILED)
        ended = EndedJob(
            batch.trace,
            batch.id,
            spec.model,
            spec.version,
            spec.owner or DEFAULT_OWNER,
            batch.rows,
            state,
            batch.created_at,
            time.time(),
            kind="batch",
            error="" if status in _STATES else status,
        )
        if ended.exports:
            self._export(of_delivery(batch.id, 1, [ended]))

    async def _fold(self, batch: Batch, *, stop: bool = False) -> dict[str, Any] | None:
        """Apply the results of chunks that have ended. Return an error if the batch cannot continue."""
        fatal = None
        for chunk in await batches.chunks(self._client, batch.id):
            if not chunk.out:
                continue
            name = batches.chunk_job(batch.id, chunk)
            job = await jobs.read(self._client, name)
            if job is None and not stop:
                await self._submit(batch, chunk)
            elif job is not None and not job.state.final:
                if stop:
                    await self._cancel(name)
            else:
                change, error = after_job(batch, chunk, job)
                change.back = [name]
                change.statuses = tuple(status for status in Status if not status.final)
                await batches.apply(self._client, batch.id, batch.spec.pool, change)
                for outcome, rows in change.increase.items():
                    metrics.BATCH_ROWS_ENDED.labels(batch.spec.model, outcome).inc(rows)
                fatal = fatal or error
                batch.speed, batch.call_s = change.set.get("speed", batch.speed), change.set.get("call_s", batch.call_s)
        return fatal

    async def _release(self, pool: str) -> None:
        """Submit as many plans and chunks as the pool has processes: its spare processes are left to single predictions."""
        slots = self._slots(pool)
        while True:
            names_out, paused = await batches.out(self._client, pool), await model_pauses.names(self._client)
            if len(names_out) >= slots and not paused:
                return
            # What a paused model has outstanding waits elsewhere, and must not keep other batches waiting.
            active = {batch.id: batch for batch in await batches.active(self._client, pool) if batch.spec.model not in paused}
            owners = {name: active[_batch_of(name)].spec.owner for name in names_out if _batch_of(name) in active}
            stale = [name for name in names_out if name not in owners]
            if stale:
                await batches.drop(self._client, pool, stale)
                names_out = [name for name in names_out if name in owners]
            if len(names_out) >= slots:
                return
            waiting = {}
            for batch in active.values():
                if batch.status is Status.IN_PROGRESS:
                    chunks = await batches.chunks(self._client, batch.id)
                    old = next((chunk for chunk in chunks if not chunk.out), None)
                    if old or batch.next < batch.rows:
                        waiting[batch.id] = old
            candidates = [Candidate(id, active[id].spec.owner, active[id].created_at, active[id].served_at) for id in waiting]
            chosen = active[choose(candidates, owners).batch] if candidates else None
            plan = await self._next_plan(active.values(), names_out, slots)
            if plan and (chosen is None or plan.served_at <= chosen.served_at):
                await self._release_plan(plan, slots)
            elif chosen:
                await self._release_chunk(chosen, waiting[chosen.id], slots)
            else:
                return

    async def _next_plan(self, active: Iterable[Batch], names_out: Sequence[str], slots: int) -> Batch | None:
        """Return the batch that has waited longest for its plan, or None. Plans leave one process to chunks."""
        if sum(map(_is_plan, names_out)) >= _most_plans(slots):
            return None
        waiting = [batch for batch in active if batch.status is Status.VALIDATING and plan_job(batch) not in names_out]
        for batch in sorted(waiting, key=lambda batch: (batch.served_at, batch.created_at)):
            if await jobs.read(self._client, plan_job(batch)) is None:
                return batch
        return None

    async def _release_plan(self, batch: Batch, slots: int) -> None:
        """Release the plan of a batch, unless another process was faster."""
        change = Change((Status.VALIDATING,), window=slots, plans=_most_plans(slots), set={"served_at": time.time()}, out=[plan_job(batch)])
        if await batches.apply(self._client, batch.id, batch.spec.pool, change):
            await self._submit_plan(batch)

    async def _submit_plan(self, batch: Batch) -> None:
        await self._work(batch, plan_job(batch), PLAN, {"batch": batch.id, "order": batch.spec.as_dict()}, _LONG_S)

    async def _release_chunk(self, batch: Batch, old: Chunk | None, slots: int) -> None:
        """Release a chunk of rows that wait again, or of the next rows, unless another process was faster."""
        left = batch.rows - batch.done
        if old is not None:
            size = min(old.count, cut(left, old.first, 1, batch.speed, slots))
            chunk = Chunk(old.first, size, True, old.tries)
            rest = [Chunk(chunk.end, old.count - size, False, old.tries)] if size < old.count else []
            change = Change(chunks_expect=[old], chunks=[chunk, *rest])
        else:
            left = batch.rows - batch.next
            chunk = Chunk(batch.next, min(left, cut(left, batch.next, batch.step, batch.speed, slots)), True)
            change = Change(expect={"next": str(batch.next)}, chunks=[chunk], set={"next": chunk.end})
        change.statuses, change.window = (Status.IN_PROGRESS,), slots
        change.out = [batches.chunk_job(batch.id, chunk)]
        change.set["served_at"] = time.time()
        if await batches.apply(self._client, batch.id, batch.spec.pool, change):
            await self._submit(batch, chunk)

    async def _submit(self, batch: Batch, chunk: Chunk) -> None:
        spec = {"batch": batch.id, "first": chunk.first, "count": chunk.count, "slice": batch.slice, "call_s": batch.call_s}
        await self._work(batch, batches.chunk_job(batch.id, chunk), CHUNK, spec, batch.spec.limit_s)

    async def _job(self, batch: Batch, id: str, kind: str, spec: dict[str, Any]) -> Job:
        """Return the batch's single job of this kind, submitting it if needed."""
        job = await jobs.read(self._client, id)
        if job is None:
            await self._work(batch, id, kind, {"batch": batch.id, **spec}, _LONG_S)
            job = await jobs.read(self._client, id)
        assert job is not None, "it was submitted"
        return job

    async def _work(self, batch: Batch, id: str, kind: str, spec: dict[str, Any], limit_s: float) -> None:
        requested = batch.spec
        task = submission.Submission(
            kind,
            spec,
            names.bulk(requested.pool),
            id=id,
            subject=(requested.model, requested.version),
            parent=f"batch:{batch.id}",
            limit_s=limit_s,
            retries=_TRIES,
            owner=requested.owner or DEFAULT_OWNER,
            charge=self._charge(requested.owner or DEFAULT_OWNER, requested.pool),
            # Parts are assembled without the model.
            model="" if kind == ASSEMBLY else requested.model,
            trace=batch.trace.linked(time.time()) if batch.trace else None,
        )
        await submission.submit(self._client, self._settings, task)


def plan_job(batch: Batch) -> str:
    """Return the id of the job that plans the batch's file, or the next part of it."""
    return f"{batch.id}-{PLAN}-{batch.round}" + (f"-{batch.planned}" if batch.planned else "")


def _most_plans(slots: int) -> int:
    """Return how many plans may be outstanding: they leave one of several processes to chunks."""
    return max(1, slots - 1)


def _is_plan(name: str) -> bool:
    return name.split("-")[1] == PLAN


def _batch_of(chunk: str) -> str:
    return chunk.partition("-")[0]
