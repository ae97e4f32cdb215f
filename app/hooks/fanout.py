"""An event of a job becomes a notice for each receiver, whose body is made here, once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import orjson
import redis.asyncio

from app import metrics
from app.core.jobs import Job, State
from app.core.webhooks import DEFAULT, LARGEST, Event, Notice, message_id
from app.settings import Settings
from app.store import jobs, notices, webhooks
from app.store.blobs import is_reference

log = logging.getLogger(__name__)
_LEASE_S: Final = 10.0
_AT_ONCE: Final = 100

Present = Callable[[Job], dict[str, Any]]
"""The job object, as the API shows it."""


async def fan_out(client: redis.asyncio.Redis, present: Present, settings: Settings) -> int:
    """Handles the events that are due. Returns how many there were."""
    found = await notices.claim_events(client, _LEASE_S, _AT_ONCE)
    if not found:
        return 0
    registered = await webhooks.every(client)
    for id, event in found:
        job = await jobs.read(client, id, whole=False)
        if job is None:
            log.warning("nobody is told that the job %s came to %s: its record has expired", id, event.type)
            metrics.WEBHOOK_DROPPED.labels("job_expired").inc()
        # Who listens to all jobs asked for none of a batch's thousand chunks.
        part = job is not None and job.parent.startswith("batch:")
        receivers = [one.id for one in registered if job is not None and not part and one.wants(event, job.model, job.version)]
        own = job.webhook if job is not None and job.webhook and event in job.webhook.events else None
        if own:
            receivers.append(DEFAULT)
        text = body(job, event, present) if job is not None and receivers else b""
        told = [
            Notice(receiver, message_id(id, event), id, event, text, url=own.url if own and receiver == DEFAULT else "")
            for receiver in receivers
        ]
        dropped = await notices.notify(client, id, event, told, settings)
        if dropped:
            metrics.WEBHOOK_DROPPED.labels("too_many_wait").inc(dropped)
    return len(found)


def body(job: Job, event: Event, present: Present) -> bytes:
    """`{type, timestamp, data}`, `data` being the job as it was at the event, without a result that is too large."""
    if event is Event.START:
        job = replace(job, state=State.RUNNING, finished_at=None, result=None, error=None)
    large = job.result is not None and (is_reference(job.result) or len(job.result) > LARGEST)
    data = present(replace(job, result=None) if large else job)
    happened = present(job)["started_at"] if event is Event.START else data["finished_at"]
    text = orjson.dumps({"type": event.type, "timestamp": happened, "data": data})
    if large or len(text) > LARGEST:
        data = {name: value for name, value in data.items() if name != "result"} | {"result_url": f"/v1/jobs/{job.id}"}
        text = orjson.dumps({"type": event.type, "timestamp": happened, "data": data})
    return text
