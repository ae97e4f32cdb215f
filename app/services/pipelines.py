"""Runs of pipelines: check a request, begin a run, show its steps, and run it again."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import redis.asyncio

from app.core import callers, traces
from app.core.errors import CeleriacError, InvalidInput, JobConflict, JobNotFound, PipelineUnavailable, QueueFull, UnknownField
from app.core.handlers import RESULT
from app.core.jobs import Job, State, new_id
from app.core.large_inputs import LargeInputs
from app.core.models import ModelRef
from app.core.pipelines import PIPELINE, Pipeline, Step
from app.core.tiers import Tier
from app.core.timestamps import rfc3339
from app.core.webhooks import JobWebhook
from app.registry.pipelines import Pipelines
from app.services.admission import Admission
from app.services.catalog import Catalog
from app.services.identity import JobIdentity
from app.services.jobs import JobService
from app.services.model_entry import Readiness
from app.services.pool_states import PoolStates
from app.services.rate_limits import RateLimits
from app.services.requests.jobs import PipelineSubmission, deadline_s
from app.services.requests.webhooks import job_webhook
from app.settings import Settings
from app.store import jobs, pipelines
from app.store.pipelines import Run, Target
from app.store.records import encode_spec, encode_webhook


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A checked request to run a pipeline.

    Attributes:
        name: Name of the pipeline.
        plan: The pipeline and the models of its steps, as they are stored with the run.
        inputs: Inputs by name.
        deadline_s: Seconds until the run must have ended.
        webhook: Receiver to notify of the run.
        tier: Service tier of the run and its steps.
    """

    name: str
    plan: dict[str, Any]
    inputs: dict[str, Any] | LargeInputs
    deadline_s: float
    webhook: JobWebhook | None
    tier: Tier = Tier.DEFAULT


class PipelineService:
    """The pipelines of the repository and their runs. A run is a job."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        settings: Settings,
        repository: Pipelines,
        catalog: Catalog,
        admission: Admission,
        job_service: JobService,
        pools: PoolStates,
        rate_limits: RateLimits,
    ) -> None:
        self._client = client
        self._settings = settings
        self._repository = repository
        self._catalog = catalog
        self._admission = admission
        self._jobs = job_service
        self._pools = pools
        self._rate_limits = rate_limits

    async def all(self) -> dict[str, Pipeline | PipelineUnavailable]:
        """Return every pipeline by name, or the error in its file."""
        return await asyncio.to_thread(self._all)

    def _all(self) -> dict[str, Pipeline | PipelineUnavailable]:
        every: dict[str, Pipeline | PipelineUnavailable] = {}
        for name in self._repository.names():
            try:
                every[name] = self._repository.read(name)[0]
            except PipelineUnavailable as error:
                every[name] = error
        return every

    async def read(self, name: str) -> tuple[Pipeline, dict[str, Any]]:
        """Return a pipeline, and its file as JSON.

        Raises:
            PipelineNotFound: The pipeline does not exist.
            PipelineUnavailable: Its file is invalid.
        """
        return await asyncio.to_thread(self._repository.read, name)

    async def parse(self, submission: PipelineSubmission) -> RunRequest:
        """Check a request to run a pipeline. Aliases are resolved here, so that all steps of a run use the same versions.

        Raises:
            InvalidInput: A field is invalid.
            ScopeMissing: The caller may not use the service tier.
            CeleriacError: The pipeline or one of its models cannot be used.
        """
        name, tier = submission.pipeline, submission.service_tier
        callers.check_tier(tier)
        pipeline, data = await self.read(name)
        seconds, webhook = deadline_s(submission.deadline_s, self._settings), job_webhook(submission.webhook, self._settings)
        inputs = _inputs(pipeline, submission.inputs)
        targets = {step: astuple(target) for step, target in (await self._targets(pipeline)).items()}
        return RunRequest(name, {"name": name, "pipeline": data, "targets": targets}, inputs, seconds, webhook, tier)

    async def begin(self, request: RunRequest, *, id: str, fingerprint: str = "") -> bool:
        """Begin a durable run of the caller's owner under an ID. Returns False if a job with this ID exists already.

        Raises:
            QueueFull: Redis is full.
            PoolDraining: The pool of a step accepts no new work.
            RateLimited: A rate limit of the caller is reached.
            QuotaExceeded: The owner has as many open jobs, or has used as many run seconds, as it may.
        """
        if reason := self._admission.refusal():
            raise QueueFull(reason, retry_after_s=5)
        pools = {pool for pool, *_ in request.plan["targets"].values()}
        if any(map(self._pools.refusal, pools)) and await jobs.read(self._client, id, whole=False) is None:
            self._check_pools(pools)
        ttl = self._settings.job_ttl_s
        spec = encode_spec(request.name, "", (RESULT,), 1, fingerprint, PIPELINE, tier=request.tier)
        packed = request.inputs.packed if isinstance(request.inputs, LargeInputs) else pipelines.packed_inputs(request.inputs)
        charge = self._rate_limits.charge(pools=pools, bytes=len(packed))
        kept = await pipelines.keep_inputs(packed, ttl)
        webhook = encode_webhook(request.webhook)
        return await pipelines.begin(
            self._client,
            id,
            spec,
            request.plan,
            kept,
            expires_s=request.deadline_s,
            ttl=ttl,
            owner=callers.owner(),
            webhook=webhook,
            charge=charge,
            trace=traces.begin(),
        )

    async def submit(self, submission: PipelineSubmission, identity: JobIdentity | None) -> Job:
        """Begin a run and return its job, or the job of the first request if this one repeats it.

        Raises the errors of `parse` and `begin`, and the conflict of `identity`.
        """
        request = await self.parse(submission)
        id, fingerprint = (identity.id, identity.fingerprint) if identity else (new_id(time.time()), "")
        new = await self.begin(request, id=id, fingerprint=fingerprint)
        job = await self._jobs.get(id)
        if not new and identity and job.fingerprint != fingerprint:
            raise identity.conflict
        return job

    async def retry(self, id: str) -> Job:
        """Run a pipeline again as a new job, which takes over the steps that have succeeded.

        Raises:
            JobNotFound: The job does not exist.
            JobConflict: The job is not a pipeline, or has not failed, expired or been cancelled.
            KeyRestricted: The caller may not use one of the models or pools.
            ScopeMissing: The caller may not use the service tier of the run.
            PoolDraining: The pool of a step accepts no new work.
            RateLimited: A rate limit of the caller is reached.
        """
        before = await self._jobs.get(id)
        stored = await pipelines.read(self._client, before.id)
        if before.work != PIPELINE or stored is None:
            raise JobConflict(f"Job {id} is not a pipeline run. Submit it again instead.")
        run, kept = stored
        if run.job.state not in (State.FAILED, State.CANCELLED, State.EXPIRED):
            raise JobConflict(f"Pipeline run {id} is {run.job.state}. Only a run that failed, expired or was cancelled can be retried.")
        callers.check_tier(run.job.tier)
        for target in run.targets.values():
            callers.check_pool(target.pool)
            if target.name:
                callers.check_model(target.name)
        self._check_pools(target.pool for target in run.targets.values())
        ttl, new = self._settings.job_ttl_s, new_id(time.time())
        plan = await pipelines.plan(self._client, before.id)
        spec = encode_spec(run.pipeline.name, "", (RESULT,), 1, "", PIPELINE, tier=run.job.tier)
        inherited = [
            (old, new + old.removeprefix(before.id))
            for step, count in run.counts.items()
            for old in await self._succeeded(run, step, count)
        ]
        expires_s = run.job.expires_at - run.job.created_at
        webhook = encode_webhook(run.job.webhook)
        with traces.following(before.trace):
            context = traces.begin()
        await pipelines.begin(
            self._client,
            new,
            spec,
            plan,
            kept,
            expires_s=expires_s,
            ttl=ttl,
            owner=before.owner,
            webhook=webhook,
            inherited=inherited,
            charge=self._rate_limits.charge(pools={target.pool for target in run.targets.values()}, bytes=len(kept)),
            trace=context,
        )
        return await self._jobs.get(new)

    async def steps(self, job: Job, *, results: bool) -> list[dict[str, Any]]:
        """Return the steps of a run in order, with their results if asked for.

        Raises:
            JobNotFound: The records of the steps have expired.
        """
        stored = await pipelines.read(self._client, job.id)
        if stored is None:
            raise JobNotFound(f"The steps of job {callers.shown_id(job.id)} have expired.")
        return [await self._step(stored[0], step, results=results) for step in stored[0].pipeline.steps]

    def obstacle(self, pipeline: Pipeline) -> str | None:
        """Return why a run would be refused now, because a model is missing or unavailable. None if nothing is wrong."""
        for step in pipeline.steps.values():
            if step.model and (reason := _unserved(self._catalog, step)):
                return f"Step {step.name!r} cannot run: {reason}"
        return None

    def _check_pools(self, pools: Iterable[str]) -> None:
        for pool in pools:
            self._pools.check(pool)

    async def _step(self, run: Run, step: str, *, results: bool) -> dict[str, Any]:
        if step in run.settled and run.settled[step].skipped:
            return {"name": step, "state": "skipped"}
        if step not in run.counts:
            return {"name": step, "state": "waiting"}
        count = run.counts[step]
        summary: dict[str, Any] = {"name": step, "job": callers.shown_id(run.part(step, None))}
        summary |= await (self._single(run, step) if count is None else self._branches(run, step, count))
        if results and summary["state"] == State.SUCCEEDED:
            values = await pipelines.values(self._client, run.parts(step, count))
            summary["result"] = values[0] if count is None else values
        return summary

    async def _single(self, run: Run, step: str) -> dict[str, Any]:
        job = await jobs.read(self._client, run.part(step, None), whole=False)
        if job is None:
            return {"state": "waiting"}
        summary = {
            "state": job.state,
            "attempt": job.attempt,
            "started_at": rfc3339(job.started_at),
            "finished_at": rfc3339(job.finished_at),
            "run_s": job.run_s,
            "progress": {"fraction": job.progress.fraction, "text": job.progress.text} if job.progress else None,
            "error": job.error,
        }
        return {name: value for name, value in summary.items() if value is not None}

    async def _branches(self, run: Run, step: str, count: int) -> dict[str, Any]:
        states = Counter(state or "waiting" for state in await pipelines.states(self._client, run.parts(step, count)))
        first = (State.FAILED, State.EXPIRED, State.CANCELLED, State.RUNNING, State.QUEUED, "waiting")
        return {
            "state": next((state for state in first if states[state]), State.SUCCEEDED),
            "branches": {str(state): many for state, many in states.items()},
        }

    async def _succeeded(self, run: Run, step: str, count: int | None) -> Sequence[str]:
        ids = run.parts(step, count)
        states = await pipelines.states(self._client, ids)
        return [id for id, state in zip(ids, states, strict=True) if state is State.SUCCEEDED]

    async def _targets(self, pipeline: Pipeline) -> dict[str, Target]:
        targets, run = {}, new_id(time.time())
        for step in pipeline.steps.values():
            if not step.model:
                targets[step.name] = Target(step.pool or "default")
                callers.check_pool(targets[step.name].pool)
                continue
            ref = ModelRef.parse(step.model)
            # One key for all steps: those that name the same alias take the same version.
            manifest = self._catalog.routed(ref, await self._catalog.serving(ref), id=run)
            if step.method:
                manifest.output(step.method)
            targets[step.name] = Target(step.pool or manifest.pool, *manifest.key)
            callers.check_pool(targets[step.name].pool)
        return targets


def _inputs(pipeline: Pipeline, inputs: Any) -> dict[str, Any] | LargeInputs:
    expected = ", ".join(pipeline.inputs) or "none"
    names = inputs.names if isinstance(inputs, LargeInputs) and inputs.packed else inputs
    if not isinstance(names, dict | tuple):
        raise InvalidInput(f"Field inputs must be an object. Inputs of pipeline {pipeline.name!r}: {expected}.", pointer="/inputs")
    for name in names:
        if name not in pipeline.inputs:
            raise UnknownField(f"Pipeline {pipeline.name!r} has no input {name!r}. Its inputs: {expected}.", pointer=f"/inputs/{name}")
    for name in pipeline.inputs:
        if name not in names:
            raise InvalidInput(f"Input {name!r} is missing. Inputs of pipeline {pipeline.name!r}: {expected}.", pointer="/inputs")
    checked: dict[str, Any] | LargeInputs = inputs
    return checked


def _unserved(catalog: Catalog, step: Step) -> str | None:
    """Return why the model of a step cannot be used, or None."""
    ref = ModelRef.parse(step.model)
    entry = catalog.entries.get(ref.name)
    if entry is None:
        return f"the model {ref.name!r} does not exist."
    version = entry.means(ref)
    if version not in entry.versions:
        return f"the model {ref.name!r} has no version or alias {ref.version or ref.alias!r}."
    served = entry.versions[version]
    if served.state is Readiness.UNAVAILABLE or served.manifest is None:
        return f"{ref.name}@{version} cannot be served: {served.reason}"
    try:
        if step.method:
            served.manifest.output(step.method)
    except CeleriacError as error:
        return error.detail
    return None
