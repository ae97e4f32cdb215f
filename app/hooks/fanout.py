"""Turning an event of a job, a batch or the audit log into one delivery per receiver."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson
import redis.asyncio

from app import metrics
from app.core import callers
from app.core.batches import Batch, Status
from app.core.jobs import Job, State
from app.core.timestamps import rfc3339
from app.core.traces import TraceContext
from app.core.webhooks import DEFAULT, LARGEST, Event, JobWebhook, WebhookDelivery, WebhookEvent
from app.loops import Loop
from app.settings import Settings
from app.store import audit, batches, jobs, keys, webhook_deliveries, webhooks
from app.store.blobs import is_reference
from app.store.claims import Claimed
from app.store.quarantine import Quarantine

log = logging.getLogger(__name__)
_LEASE_S: Final = 10.0
_AT_ONCE: Final = 100
_ATTEMPTS: Final = 5
"""How often an event is tried before it is set aside."""
_ERRORS: Final = 5
"""Errors that are shown if the body of a batch would be too large."""


@dataclass(frozen=True, slots=True)
class Presenters:
    """How the API presents a job and a batch."""

    job: Callable[[Job], Mapping[str, Any]]
    batch: Callable[[Batch], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _Content:
    """The content of an event and its receivers: the webhook that the job brought along, and the registered ones of the model."""

    model: str
    version: str
    own: JobWebhook | None
    body: Callable[[], bytes]
    public: bool = True
    trace: TraceContext | None = None


async def fan_out(client: redis.asyncio.Redis, presenters: Presenters, settings: Settings, quarantine: Quarantine, loop: Loop) -> Claimed:
    """Handle the events that are due, and return them."""
    claimed = await webhook_deliveries.claim_events(client, _LEASE_S, _AT_ONCE)
    if not claimed.members:
        return claimed
    registered = await webhooks.every(client)

    async def handle(text: str) -> None:
        event = WebhookEvent.parse(text)
        content = await _content(client, event, presenters)
        receivers: dict[str, str] = {}
        if content and content.public:
            receivers = {hook.id: "" for hook in registered if hook.wants(event.event, content.model, content.version)}
        if content and content.own and event.event in content.own.events:
            receivers[DEFAULT] = content.own.url
        body = content.body() if content and receivers else b""
        trace = content.trace if content else None
        made = [WebhookDelivery(receiver, event.message, event.about, body, url=url, trace=trace) for receiver, url in receivers.items()]
        dropped = await webhook_deliveries.notify(client, event, made, settings)
        if dropped:
            metrics.WEBHOOK_DROPPED.labels("too_many_wait").inc(dropped)

    for member in claimed.members:
        await quarantine.handle(loop, keys.EVENTS, member, handle, attempts=_ATTEMPTS)
        loop.touch()
    return claimed


async def _content(client: redis.asyncio.Redis, event: WebhookEvent, presenters: Presenters) -> _Content | None:
    if event.event is Event.AUDIT:
        return await _of_audit(client, event)
    return await (_of_job if event.round is None else _of_batch)(client, event, presenters)


async def _of_audit(client: redis.asyncio.Redis, event: WebhookEvent) -> _Content | None:
    """Return None if the entry was dropped."""
    entry = await audit.read(client, event.about)
    if entry is None:
        metrics.WEBHOOK_DROPPED.labels("entry_expired").inc()
        return None
    changed = next((target["id"] for target in entry["targets"] if target["type"] == "model"), "")
    model, _, version = changed.partition("@")
    return _Content(model, version, None, lambda: audit_body(entry))


async def _of_job(client: redis.asyncio.Redis, event: WebhookEvent, presenters: Presenters) -> _Content | None:
    job = await jobs.read(client, event.about, whole=False)
    if job is None:
        log.warning("Dropped webhook event %s of job %s: the job record has expired.", event.type, event.about)
        metrics.WEBHOOK_DROPPED.labels("job_expired").inc()
        return None
    # The chunks of a batch are not events for registered webhooks.
    public = not job.parent.startswith("batch:")
    return _Content(job.model, job.version, job.webhook, lambda: body(job, event, presenters), public, _trace(job))


async def _of_batch(client: redis.asyncio.Redis, event: WebhookEvent, presenters: Presenters) -> _Content | None:
    """Return None if the batch was refused or has expired."""
    batch = await batches.read(client, event.about)
    if batch is None:
        return None
    spec, given = batch.spec, batch.spec.webhook
    own = JobWebhook(given["url"], tuple(map(Event, given["events"]))) if given else None
    return _Content(spec.model, spec.version, own, lambda: batch_body(batch, event, presenters), trace=batch.trace)


def _trace(job: Job) -> TraceContext | None:
    """Return the trace context of a job, which is sampled if the spans of the job are exported."""
    if job.trace is None or job.finished_at is None:
        return job.trace
    failed, seconds = job.state in (State.FAILED, State.EXPIRED), job.finished_at - job.trace.received_at
    return replace(job.trace, sampled=job.trace.sampled or job.trace.exports(failed=failed, seconds=seconds))


def body(job: Job, event: WebhookEvent, presenters: Presenters) -> bytes:
    """Return `{type, timestamp, data}`. `data` is the job at the time of the event, without a result that is too large.

    Its ID is the one that its owner knows.
    """
    with callers.on_behalf_of(job.owner):
        return _body(job, event, presenters)


def _body(job: Job, event: WebhookEvent, presenters: Presenters) -> bytes:
    if event.event is Event.START:
        job = replace(job, state=State.RUNNING, finished_at=None, result=None, error=None)
    large = job.result is not None and (is_reference(job.result) or len(job.result) > LARGEST)
    data = presenters.job(replace(job, result=None) if large else job)
    happened = data["started_at"] if event.event is Event.START else data["finished_at"]
    text = orjson.dumps({"type": event.type, "timestamp": happened, "data": data})
    if large or len(text) > LARGEST:
        data = {name: value for name, value in data.items() if name != "result"} | {"result_url": f"/v1/jobs/{data['id']}"}
        text = orjson.dumps({"type": event.type, "timestamp": happened, "data": data})
    return text


def audit_body(entry: Mapping[str, Any]) -> bytes:
    """Return the body for an entry of the audit log. Entries are never too large."""
    return orjson.dumps({"type": f"audit.{entry['action']}", "timestamp": entry["occurred_at"], "data": entry})


def batch_body(batch: Batch, event: WebhookEvent, presenters: Presenters) -> bytes:
    """Return the body for a batch, with fewer errors if it is too large. The batch may have been resumed since the event."""
    status = Status.IN_PROGRESS if event.event is Event.START else Status(event.what)
    at = rfc3339(batch.times[status])

    def text(batch: Batch) -> bytes:
        return orjson.dumps({"type": event.type, "timestamp": at, "data": presenters.batch(batch)})

    then = replace(batch, status=status)
    encoded = text(then)
    return encoded if len(encoded) <= LARGEST else text(replace(then, errors=batch.errors[:_ERRORS]))
