"""Jobs and batches as JSON types: the same in responses, streams, lists and webhooks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

import orjson

from app.api.schemas import batches as batch_schemas
from app.api.schemas import jobs as schemas
from app.api.schemas.results import result
from app.core import callers
from app.core.api_keys import DEFAULT_OWNER
from app.core.attempts import Attempt, AttemptOutcome
from app.core.batches import MOST_ERRORS, Batch, Status
from app.core.concurrency import key_of
from app.core.handlers import from_tensor
from app.core.jobs import Job, Place, State
from app.core.pipelines import PIPELINE, STEP
from app.core.tensors import Tensor, as_json
from app.core.tiers import Tier
from app.core.timestamps import rfc3339
from app.core.tokens import Token
from app.store.pipelines import VALUE


def present(job: Job, place: Place | None = None, large: orjson.Fragment | None = None) -> schemas.Job:
    """Return the job object.

    Args:
        job: The job.
        place: Its position in the queue, if it is queued.
        large: Its result, if it was converted to JSON already.
    """
    body = cast("schemas.Job", {"id": callers.shown_id(job.id), "state": job.state, **_request(job)})
    if job.owner != DEFAULT_OWNER:
        body["owner"] = job.owner
    if job.tier is not Tier.DEFAULT:
        body["service_tier"] = job.tier
    if job.concurrency:
        body["concurrency_key"] = key_of(job.concurrency)
    body["attempt"] = job.attempt
    body["created_at"] = rfc3339(job.created_at)
    body["started_at"] = rfc3339(job.started_at)
    body["finished_at"] = rfc3339(job.finished_at)
    body["wait_s"] = job.wait_s
    body["run_s"] = job.run_s
    if job.share is not None:
        body["share"] = job.share
    if job.cost is not None:
        body["cost"] = job.cost
    if job.state is State.QUEUED and place is not None:
        body["queue_position"] = place.position
        if place.start_s is not None:
            body["estimated_start_s"] = round(place.start_s, 3)
        if place.waits_for:
            body["waits_for"] = place.waits_for
    if job.progress is not None:
        body["progress"] = {"fraction": job.progress.fraction, "text": job.progress.text}
    outputs = job.answered() if job.state is State.SUCCEEDED else None
    if outputs is not None:
        body["result"] = _result(job, outputs) if large is None else large
    elif job.result_omitted:
        body["result_omitted"] = True
    if job.trace is not None:
        body["trace_id"] = job.trace.trace_id
    if job.reason:
        body["reason"] = job.reason
    if job.error is not None:
        body["error"] = cast("schemas.JobError", job.error)
    return body


def _request(job: Job) -> dict[str, Any]:
    if not job.work:
        return {"model": job.model, "version": job.version, "method": job.outputs[0], "rows": job.rows}
    if job.work == PIPELINE:
        return {"kind": PIPELINE, "pipeline": job.model}
    if job.work == STEP:
        return {"kind": STEP, "pipeline": job.model, "step": job.version, "parent": _parent(job)}
    fields = {"kind": job.work, "model": job.model, "version": job.version, "parent": _parent(job), "request": job.request}
    return {name: value for name, value in fields.items() if value}


def _parent(job: Job) -> str:
    kind, separator, id = job.parent.partition(":")
    return kind + separator + callers.shown_id(id)


def _result(job: Job, outputs: Sequence[Tensor]) -> Any:
    if not job.work:
        return result(outputs)
    value = from_tensor(outputs[0])
    return value[VALUE] if job.work in (PIPELINE, STEP) else value


def present_attempts(job: Job) -> list[schemas.Attempt]:
    """Return the attempts of a job, the first one first."""
    return [_attempt(attempt, job) for attempt in job.attempts]


def _attempt(attempt: Attempt, job: Job) -> schemas.Attempt:
    outcome = job.outcome_of(attempt)
    ended_at = job.finished_at if attempt.ended_at is None and outcome is not AttemptOutcome.WORKER_LOST else attempt.ended_at
    return {
        "started_at": rfc3339(attempt.started_at),
        "finished_at": rfc3339(ended_at),
        "worker": attempt.worker,
        "outcome": outcome,
    }


def present_token(token: Token) -> schemas.Token:
    """Return a piece of streamed output."""
    return {"chunk": as_json(token.text), "index": token.index, "row": token.row, "attempt": token.attempt}


def present_batch(batch: Batch) -> batch_schemas.Batch:
    """Return the batch object: OpenAI's fields, and ours. Times are in seconds since 1970."""
    spec, now = batch.spec, time.time()
    rate = batch.rate(now)
    left = batch.rows - batch.done
    running = not batch.status.final

    def at(status: Status) -> int | None:
        return int(batch.times[status]) if status in batch.times else None

    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": spec.endpoint or f"/v2/models/{spec.model}/versions/{spec.version}/infer",
        "model": spec.model,
        "version": spec.version,
        "method": spec.method or None,
        "status": batch.status,
        "errors": {"object": "list", "data": cast("list[batch_schemas.BatchError]", batch.errors[:MOST_ERRORS])} if batch.errors else None,
        "input_file_id": spec.input.get("file", ""),
        "input": next(iter(spec.input.values())),
        "output": next(iter(spec.output.values())) if spec.output else None,
        "output_file_id": batch.output_file or None,
        "error_file_id": batch.error_file or None,
        "completion_window": f"{spec.window_s // 3600}h" if spec.window_s % 3600 == 0 else f"{spec.window_s}s",
        "request_counts": {"total": batch.rows, "completed": batch.completed, "failed": batch.failed},
        "partial_failure": batch.status.final and batch.completed > 0 and batch.completed < batch.rows,
        "progress": {
            "fraction": batch.done / batch.rows if batch.rows else 0.0,
            "rows_per_s": rate,
            "eta_s": left / rate if running and rate else None,
        },
        "created_at": int(batch.created_at),
        "expires_at": int(batch.expires_at),
        "in_progress_at": at(Status.IN_PROGRESS),
        "finalizing_at": at(Status.FINALIZING),
        "cancelling_at": at(Status.CANCELLING),
        "completed_at": at(Status.COMPLETED),
        "failed_at": at(Status.FAILED),
        "expired_at": at(Status.EXPIRED),
        "cancelled_at": at(Status.CANCELLED),
        "owner": spec.owner,
        "metadata": dict(spec.metadata) or None,
    }
