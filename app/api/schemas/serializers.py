"""A job and its result, and a batch, as JSON types: the same in answers, streams, lists and webhooks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import orjson

from app.api.http.offload import Offload
from app.api.http.reading import detached, result, result_json
from app.core.batches import MOST_ERRORS, Batch, Status
from app.core.handlers import from_tensor
from app.core.jobs import Job, Place, State
from app.core.pipelines import PIPELINE, STEP
from app.core.protocol import nested
from app.core.tensors import Tensor
from app.core.timestamps import rfc3339
from app.store.pipelines import VALUE


async def whole(offload: Offload, job: Job, place: Place | None = None, classes: Sequence[Any] = ()) -> dict[str, Any]:
    """The job object for who asks for this one, with what its code printed, and the class of each column of its result.

    A large result is made JSON outside the event loop.
    """
    outputs = job.answered() if job.state is State.SUCCEEDED and not job.work else None
    size = sum(len(tensor.data) for tensor in outputs or ())
    large = orjson.Fragment(await offload.run(size, result_json, detached(outputs))) if outputs and size > offload.above_bytes else None
    labels = {"classes": classes} if classes and job.state is State.SUCCEEDED else {}
    return present(job, place, large) | labels | ({"logs": job.logs} if job.logs else {})


def present(job: Job, place: Place | None = None, large: orjson.Fragment | None = None) -> dict[str, Any]:
    """The job object. `place` is where it stands, if it waits; `large` is the result, if it is JSON already."""
    found: dict[str, Any] = {
        "id": job.id,
        "state": job.state,
        **_asked(job),
        "attempt": job.attempt,
        "created_at": rfc3339(job.created_at),
        "started_at": rfc3339(job.started_at),
        "finished_at": rfc3339(job.finished_at),
        "wait_s": job.wait_s,
        "run_s": job.run_s,
    }
    if job.state is State.QUEUED and place is not None:
        found["queue_position"] = place.position
        if place.start_s is not None:
            found["estimated_start_s"] = round(place.start_s, 3)
    if job.progress is not None:
        found["progress"] = {"fraction": job.progress.fraction, "text": job.progress.text}
    outputs = job.answered() if job.state is State.SUCCEEDED else None
    if outputs is not None:
        found["result"] = _result(job, outputs) if large is None else large
    if job.error is not None:
        found["error"] = job.error
    return found


def _asked(job: Job) -> dict[str, Any]:
    if not job.work:
        return {"model": job.model, "version": job.version, "method": job.outputs[0], "rows": job.rows}
    if job.work == PIPELINE:
        return {"kind": PIPELINE, "pipeline": job.model}
    if job.work == STEP:
        return {"kind": STEP, "pipeline": job.model, "step": job.version, "parent": job.parent}
    told = {"kind": job.work, "model": job.model, "version": job.version, "parent": job.parent, "request": job.request}
    return {name: value for name, value in told.items() if value}


def _result(job: Job, outputs: Sequence[Tensor]) -> Any:
    if not job.work:
        return result(outputs)
    found = from_tensor(outputs[0])
    return found[VALUE] if job.work in (PIPELINE, STEP) else found


def present_inputs(inputs: Sequence[Tensor]) -> Any:
    """Rows as a caller may send them again: lists for a model of one input, records by column for one of several."""
    if len(inputs) == 1:
        return nested(inputs[0])
    columns = [nested(tensor) for tensor in inputs]
    return [dict(zip((tensor.name for tensor in inputs), row, strict=True)) for row in zip(*columns, strict=True)]


def present_batch(batch: Batch) -> dict[str, Any]:
    """The batch object: OpenAI's fields, and ours beside them. Times are seconds since 1970."""
    order, now = batch.order, time.time()
    rate = batch.rate(now)
    left = batch.rows - batch.done
    going = not batch.status.final
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": order.endpoint or f"/v2/models/{order.model}/versions/{order.version}/infer",
        "model": order.model,
        "version": order.version,
        "method": order.method or None,
        "status": batch.status,
        "errors": {"object": "list", "data": batch.errors[:MOST_ERRORS]} if batch.errors else None,
        "input_file_id": order.input.get("file", ""),
        "input": next(iter(order.input.values())),
        "output": next(iter(order.output.values())) if order.output else None,
        "output_file_id": batch.output_file or None,
        "error_file_id": batch.error_file or None,
        "completion_window": f"{order.window_s // 3600}h" if order.window_s % 3600 == 0 else f"{order.window_s}s",
        "request_counts": {"total": batch.rows, "completed": batch.completed, "failed": batch.failed},
        "partial_failure": batch.status.final and batch.completed > 0 and batch.completed < batch.rows,
        "progress": {
            "fraction": batch.done / batch.rows if batch.rows else 0.0,
            "rows_per_s": rate,
            "eta_s": left / rate if going and rate else None,
        },
        "created_at": int(batch.created_at),
        "expires_at": int(batch.expires_at),
        **{f"{one}_at": int(batch.times[one]) if one in batch.times else None for one in Status if one is not Status.VALIDATING},
        "owner": order.owner,
        "metadata": dict(order.metadata) or None,
    }
