"""What the end of a job changes in its batch. Pure functions."""

from __future__ import annotations

from typing import Any, Final

from app.core.batches import Batch, Chunk, Part
from app.core.codec import unpack
from app.core.errors import PredictionOutOfMemory, TimeLimitExceeded, WorkerLost
from app.core.handlers import from_tensor
from app.core.jobs import Job, State
from app.store.batches import Change

_POISON: Final = frozenset({WorkerLost.code, TimeLimitExceeded.code, PredictionOutOfMemory.code})
"""Errors that one row can cause for all rows that run with it: the rows are then tried in halves."""


def after_job(batch: Batch, chunk: Chunk, job: Job | None) -> tuple[Change, dict[str, Any] | None]:
    """Return the change that the end of a chunk's job makes, and an error if the batch cannot continue."""
    retry = Chunk(chunk.first, chunk.count, False, chunk.tries + 1)
    if job is None or job.state in (State.CANCELLED, State.EXPIRED):
        return Change(chunks_expect=[chunk], chunks=[retry]), None
    if job.state is State.SUCCEEDED:
        return _succeeded(batch, chunk, result_of(job)), None
    error = error_of(job)
    if error["code"] not in _POISON:
        return Change(chunks_expect=[chunk], chunks=[retry]), error
    if chunk.count == 1:
        part = Part(chunk.first, 1, 0, 1, {"code": error["code"], "detail": error["message"]})
        return Change(chunks_expect=[chunk], gone=[chunk], parts=[part], increase={"failed": 1}), None
    half = chunk.count // 2
    halves = [Chunk(chunk.first, half, False, chunk.tries + 1), Chunk(chunk.first + half, chunk.count - half, False, chunk.tries + 1)]
    return Change(chunks_expect=[chunk], chunks=halves), None


def _succeeded(batch: Batch, chunk: Chunk, result: dict[str, Any]) -> Change:
    done, seconds = result["rows"], max(result["seconds"], 1e-4)
    speed = done / seconds
    part = Part(chunk.first, done, result["completed"], result["failed"])
    return Change(
        chunks_expect=[chunk],
        gone=[chunk],
        # The job ended early: it took long, or gave way to single predictions.
        chunks=[Chunk(chunk.first + done, chunk.count - done, False, chunk.tries)] if done < chunk.count else [],
        parts=[part],
        increase={"completed": part.completed, "failed": part.failed},
        set={
            "speed": (batch.speed + speed) / 2 if batch.speed else speed,
            "slice": result["slice"],
            "call_s": min(batch.call_s or result["call_s"], result["call_s"]),
        },
    )


def result_of(job: Job) -> dict[str, Any]:
    """Return the result of a job that succeeded, else an empty object."""
    return from_tensor(unpack(job.result)[1][0]) if job.state is State.SUCCEEDED and job.result is not None else {}


def error_of(job: Job) -> dict[str, Any]:
    """Return the error of a job that did not succeed, as batches show errors."""
    error = job.error or {"code": str(job.state), "detail": f"the job {job.id} was {job.state}"}
    return {"code": error["code"], "message": error["detail"], "line": None, "param": error.get("pointer")}
