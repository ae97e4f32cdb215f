"""An event of a job or a batch becomes a delivery for each receiver, whose body is made here, once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson
import redis.asyncio

from app import metrics
from app.core.batches import Batch, Status
from app.core.jobs import Job, State
from app.core.timestamps import rfc3339
from app.core.webhooks import DEFAULT, LARGEST, Event, JobWebhook, WebhookDelivery, WebhookEvent
from app.loops import Loop
from app.settings import Settings
from app.store import batches, jobs, keys, webhook_deliveries, webhooks
from app.store.blobs import is_reference
from app.store.quarantine import Quarantine

log = logging.getLogger(__name__)
_LEASE_S: Final = 10.0
_AT_ONCE: Final = 100
_ATTEMPTS: Final = 5
"""How often an event is handled before it is set aside."""
_ERRORS: Final = 5
"""Of a batch whose body would be too large."""


@dataclass(frozen=True, slots=True)
class Shown:
    """How the API shows a job, and a batch."""

    job: Callable[[Job], dict[str, Any]]
    batch: Callable[[Batch], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Told:
    """What is told of one event, and whom it concerns: who brought a webhook along, and who listens to the model."""

    model: str
    version: str
    own: JobWebhook | None
    body: Callable[[], bytes]
    public: bool = True


async def fan_out(client: redis.asyncio.Redis, shown: Shown, settings: Settings, quarantine: Quarantine, loop: Loop) -> int:
    """Handles the events that are due. Returns how many there were."""
    found = await webhook_deliveries.claim_events(client, _LEASE_S, _AT_ONCE)
    if not found:
        return 0
    registered = await webhooks.every(client)

    async def handle(text: str) -> None:
        one = WebhookEvent.parse(text)
        told = await (_of_job if one.round is None else _of_batch)(client, one, shown)
        receivers: dict[str, str] = {}
        if told and told.public:
            receivers = {hook.id: "" for hook in registered if hook.wants(one.event, told.model, told.version)}
        if told and told.own and one.event in told.own.events:
            receivers[DEFAULT] = told.own.url
        body = told.body() if told and receivers else b""
        made = [WebhookDelivery(receiver, one.message, one.about, body, url=url) for receiver, url in receivers.items()]
        dropped = await webhook_deliveries.notify(client, one, made, settings)
        if dropped:
            metrics.WEBHOOK_DROPPED.labels("too_many_wait").inc(dropped)

    for member in found:
        await quarantine.handle(loop, keys.EVENTS, member, handle, attempts=_ATTEMPTS)
        loop.touch()
    return len(found)


async def _of_job(client: redis.asyncio.Redis, one: WebhookEvent, shown: Shown) -> _Told | None:
    job = await jobs.read(client, one.about, whole=False)
    if job is None:
        log.warning("nobody is told that the job %s came to %s: its record has expired", one.about, one.type)
        metrics.WEBHOOK_DROPPED.labels("job_expired").inc()
        return None
    # Who listens to all jobs asked for none of a batch's thousand chunks.
    public = not job.parent.startswith("batch:")
    return _Told(job.model, job.version, job.webhook, lambda: body(job, one, shown), public)


async def _of_batch(client: redis.asyncio.Redis, one: WebhookEvent, shown: Shown) -> _Told | None:
    """None where the batch is gone: it was refused, or its files are no longer kept."""
    batch = await batches.read(client, one.about)
    if batch is None:
        return None
    order, given = batch.order, batch.order.webhook
    own = JobWebhook(given["url"], tuple(map(Event, given["events"]))) if given else None
    return _Told(order.model, order.version, own, lambda: batch_body(batch, one, shown))


def body(job: Job, one: WebhookEvent, shown: Shown) -> bytes:
    """`{type, timestamp, data}`, `data` being the job as it was at the event, without a result that is too large."""
    if one.event is Event.START:
        job = replace(job, state=State.RUNNING, finished_at=None, result=None, error=None)
    large = job.result is not None and (is_reference(job.result) or len(job.result) > LARGEST)
    data = shown.job(replace(job, result=None) if large else job)
    happened = data["started_at"] if one.event is Event.START else data["finished_at"]
    text = orjson.dumps({"type": one.type, "timestamp": happened, "data": data})
    if large or len(text) > LARGEST:
        data = {name: value for name, value in data.items() if name != "result"} | {"result_url": f"/v1/jobs/{job.id}"}
        text = orjson.dumps({"type": one.type, "timestamp": happened, "data": data})
    return text


def batch_body(batch: Batch, one: WebhookEvent, shown: Shown) -> bytes:
    """The same of a batch, with fewer of its errors where all are too many. It may have been resumed since."""
    status = Status.IN_PROGRESS if one.event is Event.START else Status(one.what)
    at = rfc3339(batch.times[status])

    def text(batch: Batch) -> bytes:
        return orjson.dumps({"type": one.type, "timestamp": at, "data": shown.batch(batch)})

    then = replace(batch, status=status)
    found = text(then)
    return found if len(found) <= LARGEST else text(replace(then, errors=batch.errors[:_ERRORS]))
