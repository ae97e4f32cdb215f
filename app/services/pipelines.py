"""Runs of pipelines: begun, looked at step by step, and taken up again."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from app.api.http.idempotency import Named
from app.api.http.reading import Large
from app.core.errors import CeleriacError, InvalidInput, JobConflict, JobNotFound, QueueFull, UnknownField
from app.core.fields import reject_unknown_fields
from app.core.handlers import RESULT
from app.core.jobs import Job, State, new_id
from app.core.models import ModelRef
from app.core.pipelines import PIPELINE, Pipeline, Step
from app.core.timestamps import rfc3339
from app.core.webhooks import JobWebhook
from app.services.jobs import Gateway
from app.services.models import Readiness
from app.store import jobs, pipelines
from app.store.pipelines import Run, Target
from app.store.records import encode_spec, encode_webhook


@dataclass(frozen=True, slots=True)
class Order:
    """A request that has been checked: the `plan` as it is kept, and the inputs."""

    name: str
    plan: dict[str, Any]
    inputs: dict[str, Any] | Large


async def order_of(here: Gateway, body: dict[str, Any]) -> Order:
    """Raises what is wrong with the request, with the pipeline, or with a model that it asks."""
    reject_unknown_fields(body, "pipeline", "inputs", "deadline_s", "webhook")
    name = body.get("pipeline")
    if not isinstance(name, str):
        raise InvalidInput("pipeline must be the name of one", pointer="/pipeline")
    pipeline, data = await asyncio.to_thread(here.pipelines.read, name)
    inputs = _inputs(pipeline, body.get("inputs", {}))
    targets = {step: astuple(target) for step, target in (await _targets(here, pipeline)).items()}
    return Order(name, {"name": name, "pipeline": data, "targets": targets}, inputs)


async def begin(here: Gateway, order: Order, *, id: str, fingerprint: str = "", deadline_s: float, webhook: JobWebhook | None) -> bool:
    """A durable run. False where there is a job of that id already. Raises QueueFull."""
    if reason := here.full():
        raise QueueFull(reason, retry_after_s=5)
    ttl = here.settings.job_ttl_s
    spec = encode_spec(order.name, "", (RESULT,), 1, fingerprint, PIPELINE)
    packed = order.inputs.packed if isinstance(order.inputs, Large) else pipelines.packed_inputs(order.inputs)
    kept = await pipelines.keep_inputs(packed, ttl)
    return await pipelines.begin(here.redis, id, spec, order.plan, kept, expires_s=deadline_s, ttl=ttl, webhook=encode_webhook(webhook))


async def submit(here: Gateway, body: dict[str, Any], named: Named | None, *, deadline_s: float, webhook: JobWebhook | None) -> Job:
    """A durable run; that of the first request where this one is a repetition. Raises as `order_of` and `begin`."""
    order = await order_of(here, body)
    id, fingerprint = (named.id, named.fingerprint) if named else (new_id(time.time()), "")
    new = await begin(here, order, id=id, fingerprint=fingerprint, deadline_s=deadline_s, webhook=webhook)
    job = await here.job(id)
    if not new and named and job.fingerprint != fingerprint:
        raise named.conflict
    return job


async def again(here: Gateway, id: str) -> Job:
    """Another run of the same, which takes over what has succeeded. Raises JobNotFound, JobConflict."""
    before = await here.job(id)
    found = await pipelines.read(here.redis, id)
    if before.work != PIPELINE or found is None:
        raise JobConflict(f"the job {id} is no pipeline: submit it again")
    run, kept = found
    if run.job.state not in (State.FAILED, State.CANCELLED, State.EXPIRED):
        raise JobConflict(f"the pipeline {id} is {run.job.state}: only one that has failed, expired or was cancelled is run again")
    ttl, new = here.settings.job_ttl_s, new_id(time.time())
    plan = await pipelines.plan(here.redis, id)
    spec = encode_spec(run.pipeline.name, "", (RESULT,), 1, "", PIPELINE)
    inherited = [
        (old, new + old.removeprefix(id)) for step, count in run.counts.items() for old in await _succeeded(here, run, step, count)
    ]
    expires_s = run.job.expires_at - run.job.created_at
    webhook = encode_webhook(run.job.webhook)
    await pipelines.begin(here.redis, new, spec, plan, kept, expires_s=expires_s, ttl=ttl, webhook=webhook, inherited=inherited)
    return await here.job(new)


async def steps(here: Gateway, job: Job, *, results: bool) -> list[dict[str, Any]]:
    """Each step in order, with what it answered where that is asked for."""
    found = await pipelines.read(here.redis, job.id)
    if found is None:
        raise JobNotFound(f"the steps of {job.id} are gone")
    return [await _step(here, found[0], step, results=results) for step in found[0].pipeline.steps]


async def _step(here: Gateway, run: Run, step: str, *, results: bool) -> dict[str, Any]:
    if step in run.settled and run.settled[step].skipped:
        return {"name": step, "state": "skipped"}
    if step not in run.counts:
        return {"name": step, "state": "waiting"}
    count = run.counts[step]
    told: dict[str, Any] = {"name": step, "job": run.part(step, None)}
    told |= await (_single(here, run, step) if count is None else _branches(here, run, step, count))
    if results and told["state"] == State.SUCCEEDED:
        found = await pipelines.values(here.redis, run.parts(step, count))
        told["result"] = found[0] if count is None else found
    return told


async def _single(here: Gateway, run: Run, step: str) -> dict[str, Any]:
    job = await jobs.read(here.redis, run.part(step, None), whole=False)
    if job is None:
        return {"state": "waiting"}
    told = {
        "state": job.state,
        "attempt": job.attempt,
        "started_at": rfc3339(job.started_at),
        "finished_at": rfc3339(job.finished_at),
        "run_s": job.run_s,
        "progress": {"fraction": job.progress.fraction, "text": job.progress.text} if job.progress else None,
        "error": job.error,
    }
    return {name: value for name, value in told.items() if value is not None}


async def _branches(here: Gateway, run: Run, step: str, count: int) -> dict[str, Any]:
    states = Counter(state or "waiting" for state in await pipelines.states(here.redis, run.parts(step, count)))
    first = (State.FAILED, State.EXPIRED, State.CANCELLED, State.RUNNING, State.QUEUED, "waiting")
    return {
        "state": next((one for one in first if states[one]), State.SUCCEEDED),
        "branches": {str(state): many for state, many in states.items()},
    }


async def _succeeded(here: Gateway, run: Run, step: str, count: int | None) -> Sequence[str]:
    ids = run.parts(step, count)
    states = await pipelines.states(here.redis, ids)
    return [id for id, state in zip(ids, states, strict=True) if state is State.SUCCEEDED]


def _inputs(pipeline: Pipeline, given: Any) -> dict[str, Any] | Large:
    there = ", ".join(pipeline.inputs) or "none"
    names = given.names if isinstance(given, Large) and given.packed else given
    if not isinstance(names, dict | tuple):
        raise InvalidInput(f"inputs must be an object; {pipeline.name!r} takes {there}", pointer="/inputs")
    for name in names:
        if name not in pipeline.inputs:
            raise UnknownField(f"{pipeline.name!r} has no input {name!r}; it takes {there}", pointer=f"/inputs/{name}")
    for name in pipeline.inputs:
        if name not in names:
            raise InvalidInput(f"the input {name!r} is missing; {pipeline.name!r} takes {there}", pointer="/inputs")
    found: dict[str, Any] | Large = given
    return found


async def _targets(here: Gateway, pipeline: Pipeline) -> dict[str, Target]:
    """Aliases are followed now: all of a run asks the same versions."""
    found = {}
    for step in pipeline.steps.values():
        if not step.model:
            found[step.name] = Target(step.pool or "default")
            continue
        manifest = await here.catalogue.serving(ModelRef.parse(step.model))
        if step.method:
            manifest.output(step.method)
        found[step.name] = Target(step.pool or manifest.pool, *manifest.key)
    return found


def obstacle(here: Gateway, pipeline: Pipeline) -> str | None:
    """Why a run of the pipeline would be refused now: a model that is missing or cannot be served. None if nothing is wrong."""
    for step in pipeline.steps.values():
        if step.model and (reason := _unserved(here, step)):
            return f"Step {step.name!r} cannot run: {reason}"
    return None


def _unserved(here: Gateway, step: Step) -> str | None:
    ref = ModelRef.parse(step.model)
    entry = here.catalogue.entries.get(ref.name)
    if entry is None:
        return f"the model {ref.name!r} does not exist."
    version = entry.means(ref)
    if version not in entry.versions:
        return f"the model {ref.name!r} has no version or alias {ref.version or ref.alias!r}."
    found = entry.versions[version]
    if found.state is Readiness.UNAVAILABLE or found.manifest is None:
        return f"{ref.name}@{version} cannot be served: {found.reason}"
    try:
        if step.method:
            found.manifest.output(step.method)
    except CeleriacError as error:
        return error.detail
    return None
