"""Spans that model code made in a run. A worker collects them, and the process that exports the trace of the job adds them to it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Final

from app.core.spans import EndedJob, Kind, Span, delivery_span, run_span

MAX_ATTRIBUTES: Final = 16
"""Attributes of one span that are kept."""
MAX_TEXT: Final = 128
"""Characters of a name or a value that are kept."""


@dataclass(frozen=True, slots=True)
class ModelSpan:
    """A span of model code. `error` is the type of the exception that it ended with, or empty."""

    name: str
    kind: Kind
    span_id: str
    parent_id: str
    start: float
    end: float
    attributes: Mapping[str, str | int | float]
    error: str = ""


def encode(spans: Sequence[ModelSpan], *, mixed: bool) -> str:
    """Return the form that an outcome and the record of a job have. `mixed`: the run was for jobs of several owners."""
    return json.dumps([mixed, *map(astuple, spans)], ensure_ascii=False, separators=(",", ":")) if spans else ""


def of_run(delivery_id: str, size: int, jobs: Sequence[EndedJob]) -> list[Span]:
    """Return the spans of model code as parts of the traces of jobs that ran together.

    They are in the trace of the call, if several jobs share it, and in the trace of each job, unless the jobs have several owners.

    Args:
        delivery_id: ID of the delivery of the jobs.
        size: Number of jobs in the delivery.
        jobs: The jobs that are exported.
    """
    encoded = next((job.spans for job in jobs if job.spans), "")
    if not encoded:
        return []
    mixed, *values = json.loads(encoded)
    spans = [ModelSpan(name, Kind(kind), *more) for name, kind, *more in values]
    placed: list[Span] = []
    if size > 1:
        trace_id, _, call = delivery_span(delivery_id).partition("-")
        placed += _within(spans, trace_id, call)
    if not mixed:
        for job in jobs:
            placed += _within(spans, job.trace.trace_id, run_span(job.trace, len(job.attempts)), copied=size > 1)
    return placed


def _within(spans: Sequence[ModelSpan], trace_id: str, parent_id: str, *, copied: bool = False) -> list[Span]:
    """Return spans as parts of a trace. Those whose parent is not among them are children of `parent_id`. Copies have IDs of their own."""
    ids = {span.span_id: _copy_id(parent_id, span.span_id) if copied else span.span_id for span in spans}
    return [
        Span(
            span.name,
            span.kind,
            trace_id,
            ids[span.span_id],
            ids.get(span.parent_id, parent_id),
            span.start,
            span.end,
            span.attributes,
            error=span.error,
        )
        for span in spans
    ]


def _copy_id(parent_id: str, span_id: str) -> str:
    return hashlib.sha256(f"{parent_id} {span_id}".encode()).hexdigest()[:16]
