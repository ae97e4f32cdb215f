"""The spans of a job: what happened to it and when, as its record says after its end.

This file has the names of all spans and attributes. The names without `celeriac.` are those of OpenTelemetry's semantic conventions.
The IDs of spans follow from that of the job, so a job that is exported twice is one trace.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from app.core.attempts import Attempt
from app.core.jobs import State
from app.core.lanes import Lane
from app.core.traces import TraceContext

MAX_LINKS: Final = 128
"""Links of one span: what OpenTelemetry's SDK keeps by default."""


class Kind(StrEnum):
    """The kinds of OpenTelemetry."""

    SERVER = "SERVER"
    INTERNAL = "INTERNAL"
    CONSUMER = "CONSUMER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"


class Name(StrEnum):
    """What the name of a span begins with."""

    JOB = "job"
    """A job from the arrival of its request to its end; with the model, pipeline or kind."""
    SUBMIT = "submit"
    """From the arrival of the request until the job is stored."""
    QUEUE = "queue"
    """A wait for a worker: before the first attempt, and before each further one."""
    RUN = "run"
    """One attempt; with the model."""
    PROCESS = "process"
    """A delivery with several jobs, in a trace of its own; with the pool."""
    NOTIFY = "notify"
    """One attempt to send a webhook; with the type of the event."""


class Attribute(StrEnum):
    """The attributes of spans."""

    ATTEMPT = "celeriac.attempt"
    DELIVERY = "celeriac.delivery.id"
    DELIVERY_JOBS = "celeriac.delivery.jobs"
    JOB = "celeriac.job.id"
    KIND = "celeriac.job.kind"
    LANE = "celeriac.lane"
    MODEL = "celeriac.model"
    OWNER = "celeriac.owner"
    REQUEST = "celeriac.request.id"
    ROWS = "celeriac.rows"
    STATE = "celeriac.job.state"
    VERSION = "celeriac.version"
    WEBHOOK = "celeriac.webhook.id"
    WORKER = "celeriac.worker"
    ERROR = "error.type"
    HTTP_STATUS = "http.response.status_code"
    SERVER_ADDRESS = "server.address"
    MESSAGE = "messaging.message.id"
    MESSAGE_COUNT = "messaging.batch.message_count"
    OPERATION = "messaging.operation.name"
    OPERATION_TYPE = "messaging.operation.type"
    QUEUE = "messaging.destination.name"
    SYSTEM = "messaging.system"


@dataclass(frozen=True, slots=True)
class Span:
    """One span. Times are seconds since 1970. `error` is the code of what went wrong, or empty. A link is `TRACE_ID-SPAN_ID`."""

    name: str
    kind: Kind
    trace_id: str
    span_id: str
    parent_id: str
    start: float
    end: float
    attributes: Mapping[str, str | int | float]
    links: Sequence[str] = ()
    error: str = ""
    state: str = ""


Export = Callable[[Sequence[Span]], None]
"""Takes spans, and does not wait for the collector."""


@dataclass(frozen=True, slots=True)
class EndedJob:
    """A job that has ended, as its spans show it. `queue` is empty for what waits in none; `error` is the code of its error, or empty.

    `spans` has the spans of the code that ran, see `app.core.model_spans`. One of the jobs that ran together has them, or each.
    """

    trace: TraceContext
    id: str
    model: str
    version: str
    owner: str
    rows: int
    state: State
    created_at: float
    finished_at: float
    kind: str = ""
    queue: str = ""
    error: str = ""
    attempts: Sequence[Attempt] = field(default_factory=tuple)
    lane: Lane = Lane.QUEUE
    spans: str = ""

    @property
    def exports(self) -> bool:
        """Whether its trace is exported."""
        failed = self.state in (State.FAILED, State.EXPIRED)
        return self.trace.exports(failed=failed, seconds=self.finished_at - self.trace.received_at)


def of_delivery(id: str, size: int, jobs: Sequence[EndedJob]) -> list[Span]:
    """Return the spans of jobs that ended together.

    Args:
        id: ID of their delivery.
        size: Number of jobs in the delivery. Those that are not exported count, too.
        jobs: The jobs to export.
    """
    shared = size > 1 and any(job.attempts for job in jobs)
    delivery = delivery_span(id) if shared else ""
    spans = [span for job in jobs for span in _of_job(job, id, size, delivery)]
    if shared:
        spans.append(_process(id, size, [job for job in jobs if job.attempts]))
    return spans


def _of_job(job: EndedJob, delivery_id: str, size: int, delivery: str) -> list[Span]:
    """Return the span of a job, and its parts in order. `delivery` is the span of its delivery, or empty."""
    began = min(job.trace.received_at or job.created_at, job.created_at)
    spans = [_whole(job, began), _part(job, Name.SUBMIT, 1, began, job.created_at)]
    waits: dict[str, str | int] = {Attribute.SYSTEM: "celery", Attribute.QUEUE: job.queue}
    waited_since = job.created_at
    for number, attempt in enumerate(job.attempts, 1):
        last = number == len(job.attempts)
        following = job.finished_at if last else job.attempts[number].started_at
        ended_at = following if attempt.ended_at is None else attempt.ended_at
        error = job.error if last else "retried" if attempt.ended_at is not None else "worker-lost"
        attributes: dict[str, str | int] = {Attribute.ATTEMPT: number, Attribute.ROWS: job.rows}
        if attempt.worker:
            attributes[Attribute.WORKER] = attempt.worker
        if job.queue:
            spans.append(_part(job, Name.QUEUE, number, waited_since, attempt.started_at, waits))
            attributes |= waits
            if last:
                attributes |= {Attribute.DELIVERY: delivery_id, Attribute.DELIVERY_JOBS: size}
        links = (delivery,) if delivery and last else ()
        spans.append(_part(job, Name.RUN, number, attempt.started_at, ended_at, attributes, error, links))
        waited_since = ended_at
    # It may have ended before its first attempt, or between two of them.
    if job.queue and (not job.attempts or job.attempts[-1].ended_at is not None):
        spans.append(_part(job, Name.QUEUE, len(job.attempts) + 1, waited_since, job.finished_at, waits, job.error))
    return spans


def _whole(job: EndedJob, began: float) -> Span:
    trace = job.trace
    values: dict[str, str | int] = {
        Attribute.JOB: job.id,
        Attribute.KIND: job.kind,
        Attribute.MODEL: job.model,
        Attribute.VERSION: job.version,
        Attribute.OWNER: job.owner,
        Attribute.ROWS: job.rows,
        Attribute.STATE: job.state,
        Attribute.LANE: job.lane,
        Attribute.REQUEST: trace.request_id,
    }
    attributes = {name: value for name, value in values.items() if value != ""}
    name, links = f"{Name.JOB} {job.model or job.kind}", (trace.link,) if trace.link else ()
    ids = trace.trace_id, trace.span_id, trace.parent_id
    return Span(name, Kind.SERVER, *ids, began, job.finished_at, attributes, links, job.error, trace.state)


def _part(
    job: EndedJob,
    name: Name,
    number: int,
    start: float,
    end: float,
    attributes: Mapping[str, str | int] = MappingProxyType({}),
    error: str = "",
    links: Sequence[str] = (),
) -> Span:
    """Return the span of a part of a job. Clocks of several machines differ, so that a part may seem to end before it starts."""
    runs, trace = name is Name.RUN, job.trace
    title, kind = (f"{name} {job.model or job.kind}", Kind.CONSUMER) if runs else (name, Kind.INTERNAL)
    ids = trace.trace_id, _part_id(trace, name, number), trace.span_id
    return Span(title, kind, *ids, start, max(start, end), attributes, links, error)


def _process(id: str, size: int, jobs: Sequence[EndedJob]) -> Span:
    """Return the span of a delivery, with a link to the run of each of its jobs."""
    links = [f"{job.trace.trace_id}-{run_span(job.trace, len(job.attempts))}" for job in jobs[:MAX_LINKS]]
    first, error = jobs[0], next((job.error for job in jobs if job.error), "")
    attributes: dict[str, str | int] = {
        Attribute.SYSTEM: "celery",
        Attribute.OPERATION: "process",
        Attribute.OPERATION_TYPE: "process",
        Attribute.QUEUE: first.queue,
        Attribute.MESSAGE: id,
        Attribute.MESSAGE_COUNT: size,
        Attribute.MODEL: first.model,
        Attribute.VERSION: first.version,
    }
    trace_id, _, span_id = delivery_span(id).partition("-")
    started_at = min(job.attempts[-1].started_at for job in jobs)
    name = f"{Name.PROCESS} {first.queue}"
    finished_at = max(started_at, *(job.finished_at for job in jobs))
    return Span(name, Kind.CONSUMER, trace_id, span_id, "", started_at, finished_at, attributes, links, error)


def notify(
    trace: TraceContext, span_id: str, event: str, start: float, end: float, attributes: Mapping[str, str | int], error: str
) -> Span:
    """Return the span of an attempt to send a webhook."""
    return Span(f"{Name.NOTIFY} {event}", Kind.CLIENT, trace.trace_id, span_id, trace.span_id, start, end, attributes, error=error)


def delivery_span(id: str) -> str:
    """Return the span of a delivery, in the form of a link."""
    digest = hashlib.sha256(id.encode()).hexdigest()
    return f"{digest[:32]}-{digest[32:48]}"


def run_span(trace: TraceContext, attempt: int) -> str:
    """Return the ID of the span of an attempt."""
    return _part_id(trace, Name.RUN, attempt)


def _part_id(trace: TraceContext, name: Name, number: int) -> str:
    return hashlib.sha256(f"{trace.span_id} {name} {number}".encode()).hexdigest()[:16]
