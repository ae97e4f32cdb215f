"""The next step of a pipeline run: when a job of the run ends, the steps that have become ready are submitted.

Celery's chords do this too, but they hang if a worker or a result is lost. Here the state of each job is a record and nothing counts down.
Two processes may run this at once, and it may be killed anywhere.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any, Final

import redis.asyncio

from app import metrics
from app.broker import names, submission
from app.broker.fair_share import FairShare
from app.core.deliveries import Delivery, Outcome
from app.core.errors import CeleriacError, DeadlineExceeded, InvalidInput, PayloadLost, WorkFailed, from_dict
from app.core.handlers import RESULT, as_tensor
from app.core.jobs import Progress, State
from app.core.pipelines import INPUTS, PIPELINE, STEP, Step, fill, references
from app.core.rate_limits import Charge
from app.core.tiers import Tier
from app.settings import Settings
from app.store import jobs, pipelines, scripts
from app.store.blobs import blobs
from app.store.pipelines import Run, Settled
from app.store.records import encode_progress

_AGAIN_S: Final = 30.0
_AT_ONCE: Final = 100
_MANY: Final = 200
_PAUSE_S: Final = 1e-4
"""Pause for each branch: 0.1 s between two looks at a step of a thousand branches."""


class _Failed(Exception):
    """The run can no longer succeed."""

    def __init__(self, error: CeleriacError) -> None:
        super().__init__(error)
        self.error = error


class PipelineReconciler:
    """The reconciliation of pipeline runs in one API process."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        settings: Settings,
        cancel: Callable[[str], Awaitable[Any]],
        fair_share: FairShare,
        charge: Callable[[str, str], Charge | None],
    ) -> None:
        """`cancel` cancels a job. `fair_share` says which steps and branches wait in a backlog. `charge(owner, pool)` returns what a step counts for its owner."""
        self._client = client
        self._settings = settings
        self._cancel = cancel
        self._fair_share = fair_share
        self._charge = charge
        self._pauses: dict[str, float] = {}
        """When steps of many branches are counted again. Counting thousands whenever one ends would cost more than the branches themselves."""

    async def reconcile(self, id: str) -> float | None:
        """Decide and submit what a run needs next. Return the seconds until the next look, or None."""
        stored = await pipelines.read(self._client, id)
        if stored is None:
            return None
        run, _ = stored
        if run.job.state.final:
            await self._stop(run)
            return None
        try:
            while await self._round(run):
                pass
            if len(run.settled) < len(run.pipeline.steps):
                return self._recheck_s(run)
            output = await self._filled(run, run.pipeline.output)
            outcome = Outcome(id, [as_tensor(RESULT, {pipelines.VALUE: output})])
        except _Failed as failure:
            outcome = Outcome(id, error=failure.error)
        except (InvalidInput, PayloadLost) as error:
            outcome = Outcome(id, error=error)
        await self._end(run, outcome)
        return None

    async def _round(self, run: Run) -> bool:
        """Look at the steps whose sources have ended. Return whether one of them has ended now, so that others may be ready."""
        ready = [step for step in run.pipeline.steps.values() if step.name not in run.settled and step.sources <= run.settled.keys()]
        ended, under_way = False, []
        for step in ready:
            how, progress = await self._look(run, step)
            under_way += [progress] if progress else []
            if how is not None:
                await pipelines.settle(self._client, run.job.id, step.name, how)
                run.settled[step.name] = how
                ended = True
        if not ended and under_way:
            await self._tell(run, under_way)
        return ended

    async def _look(self, run: Run, step: Step) -> tuple[Settled | None, tuple[float, str] | None]:
        """Return how a step ended, or else its progress. Submits jobs that are missing. Raises _Failed."""
        if step.sources and all(run.settled[name].skipped for name in step.sources):
            return Settled(skipped=True), None
        if step.name not in run.counts:
            try:
                if step.when and not step.when.holds(await self._lookup(run, step.when.value)):
                    return Settled(skipped=True), None
                run.counts[step.name] = await self._count(run, step)
            except InvalidInput as error:
                raise _Failed(InvalidInput(f"Step {step.name!r}: {error.detail}")) from error
            await pipelines.count(self._client, run.job.id, step.name, run.counts[step.name])
        count = run.counts[step.name]
        if self._pauses.get(run.part(step.name, None), 0.0) > time.monotonic():
            return None, None
        done, bad, missing = await pipelines.branches(self._client, run.job.id, step.name, count)
        while missing and bad is None:
            # Another process may look at the same time. Submitting the same jobs twice is harmless but costly.
            first = random.randrange(0, len(missing), _AT_ONCE)
            await asyncio.gather(*(self._submit(run, step, at if step.each else None) for at in missing[first : first + _AT_ONCE]))
            done, bad, missing = await pipelines.branches(self._client, run.job.id, step.name, count)
        if bad is not None:
            index = bad if step.each else None
            raise _Failed(await self._error(step, run.part(step.name, index), index))
        every = 1 if count is None else count
        if done == every:
            return Settled(count=count), None
        self._pause(run.part(step.name, None), every)
        return None, (done / every, step.name if count is None else f"{step.name} {done}/{count}")

    def _pause(self, part: str, branches: int) -> None:
        now = time.monotonic()
        self._pauses = {paused: until for paused, until in self._pauses.items() if until > now}
        if branches >= _MANY:
            self._pauses[part] = now + branches * _PAUSE_S

    def _recheck_s(self, run: Run) -> float:
        pauses = [self._pauses[part] for step in run.counts if (part := run.part(step, None)) in self._pauses]
        return max(0.0, min(pauses) - time.monotonic()) if pauses else _AGAIN_S

    async def _count(self, run: Run, step: Step) -> int | None:
        if not step.each:
            return None
        elements = await self._filled(run, step.each)
        if not isinstance(elements, list):
            raise InvalidInput(f"{step.each} is not a list; `each` needs a list.")
        if len(elements) > self._settings.max_branches:
            raise InvalidInput(
                f"{step.each} has {len(elements)} elements; the limit is {self._settings.max_branches} (CELERIAC_MAX_BRANCHES)."
            )
        return len(elements)

    async def _submit(self, run: Run, step: Step, index: int | None) -> None:
        target = run.targets[step.name]
        spec = {
            "run": run.job.id,
            "step": step.name,
            "function": step.run,
            "model": [target.name, target.version],
            "method": step.method,
            "inputs": step.inputs,
            "each": step.each,
            "index": index,
            "sources": {name: asdict(run.settled[name]) for name in step.sources},
        }
        task = submission.Submission(
            STEP,
            spec,
            # Branches go to the bulk queue, so that single requests overtake them.
            names.queue(target.pool, run.job.tier) if index is None else names.bulk(target.pool),
            id=run.part(step.name, index),
            subject=(run.pipeline.name, step.name),
            model=target.name,
            parent=pipelines.parent(run.job.id),
            limit_s=step.timeout_s,
            retries=step.retries,
            deadline_s=max(0.001, run.job.expires_at - time.time()),
            owner=run.job.owner,
            charge=self._charge(run.job.owner, target.pool),
            tier=run.job.tier if index is None else Tier.DEFAULT,
            trace=run.job.trace.child(time.time()) if run.job.trace else None,
        )
        await submission.submit(self._client, self._settings, task, self._fair_share)

    async def _error(self, step: Step, id: str, index: int | None) -> CeleriacError:
        job = await jobs.read(self._client, id, whole=False)
        which = f"Step {step.name!r}" + ("" if index is None else f" for element {index}")
        if job and job.state is State.EXPIRED:
            return DeadlineExceeded(f"{which}: the deadline of the run passed before it was begun.")
        error = from_dict(job.error) if job and job.error else WorkFailed(f"Its job was {job.state if job else 'lost'}.")
        error.detail = f"{which}: {error.detail}"
        return error

    async def _filled(self, run: Run, template: Any) -> Any:
        return fill(template, await self._lookup(run, template))

    async def _lookup(self, run: Run, template: Any) -> Callable[[str], Any]:
        """Load the values that the template refers to."""
        values: dict[str, Any] = {}
        for name in {name for name, _ in references(template)}:
            values[name] = await (pipelines.inputs(self._client, run.job.id) if name == INPUTS else self._value(run, name))
        return values.__getitem__

    async def _value(self, run: Run, step: str) -> Any:
        how = run.settled[step]
        if how.skipped:
            return None
        if how.count is None:
            [value] = await pipelines.values(self._client, [run.part(step, None)])
            return value
        return await pipelines.values(self._client, run.parts(step, how.count))

    async def _tell(self, run: Run, under_way: Sequence[tuple[float, str]]) -> None:
        fraction = (len(run.settled) + sum(part for part, _ in under_way)) / len(run.pipeline.steps)
        progress = encode_progress(Progress(fraction, ", ".join(text for _, text in under_way)[:200]))
        if run.job.progress is None or encode_progress(run.job.progress) != progress:
            # Another process may have looked later and be done earlier.
            await scripts.run_async(self._client, scripts.progress({run.job.id: run.job.attempt}, progress, at_least=fraction))

    async def _end(self, run: Run, outcome: Outcome) -> None:
        settings = self._settings
        ended = Delivery(run.job.id, run.pipeline.name, "", (RESULT,), "", True, (run.job.id,), (1,), [], work=PIPELINE)
        call = scripts.finish(
            "",
            ended,
            [outcome],
            keep=settings.result_ttl_s,
            keep_dead=settings.dead_letter_ttl_s,
            max_dead=settings.max_dead_letters,
            blobs=blobs(),
        )
        await scripts.run_async(self._client, call)
        metrics.PIPELINES_ENDED.labels(run.pipeline.name, "succeeded" if outcome.error is None else outcome.error.code).inc()

    async def _stop(self, run: Run) -> None:
        """Cancel the remaining jobs of a run that has ended."""
        for step in run.counts.keys() - run.settled.keys():
            ids = run.parts(step, run.counts[step])
            states = zip(ids, await pipelines.states(self._client, ids), strict=True)
            going = [id for id, state in states if state is not None and not state.final]
            for first in range(0, len(going), _AT_ONCE):
                await asyncio.gather(*map(self._cancel, going[first : first + _AT_ONCE]))
