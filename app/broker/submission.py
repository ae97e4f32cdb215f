"""Submits work that is not a prediction, as one recorded job in a delivery of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio

from app.broker import names
from app.broker.celery import app as celery
from app.broker.envelope import envelope
from app.core.deliveries import Delivery
from app.core.errors import QueueFull
from app.core.handlers import RESULT, TaskSpec
from app.core.jobs import new_id
from app.core.models import RetryPolicy
from app.core.webhooks import JobWebhook
from app.settings import settings
from app.store import scripts
from app.store.records import encode_spec, encode_webhook


@dataclass(frozen=True, slots=True)
class Submission:
    """What `kind` of work, on what, and under which conditions.

    `id` is the job's: submitted again under the same id it is the same job. `subject` is the name and version that the
    job, its metrics and its dead end are listed under. `parent` (`batch:ID`) is told when the job ends; the job of a
    parent is listed with it only. `request` is shown with the job, long after its spec has gone.
    """

    kind: str
    spec: dict[str, Any]
    queue: str
    id: str = ""
    subject: tuple[str, str] = ("", "")
    parent: str = ""
    limit_s: float = 3600.0
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    deadline_s: float | None = None
    fingerprint: str = ""
    request: dict[str, Any] | None = None
    webhook: JobWebhook | None = None


async def submit(client: redis.asyncio.Redis, one: Submission) -> tuple[str, bool]:
    """The job's id, and whether it is new. Raises QueueFull, InvalidInput for a spec that is not JSON, RedisError."""
    now, chosen = time.time(), settings()
    id, (name, version) = one.id or new_id(now), one.subject
    inputs = TaskSpec(one.spec, one.retries).pack()
    delivery = Delivery(new_id(now), name, version, (RESULT,), "", True, (id,), (1,), inputs, enqueued_at=now, work=one.kind)
    message = envelope(
        celery, names.PREDICT, delivery.id, (delivery.id, None), one.queue, time_limit_s=one.limit_s, enqueued_at=now, shown=delivery
    )
    call = scripts.submit(
        one.queue,
        message,
        delivery,
        [encode_spec(name, version, (RESULT,), 1, one.fingerprint, one.kind, one.request)],
        [chosen.job_ttl_s if one.deadline_s is None else one.deadline_s],
        [encode_webhook(one.webhook)],
        attempts=one.retries.max_attempts,
        limit_s=one.limit_s,
        max_queue=chosen.max_queue,
        ttl=chosen.job_ttl_s,
        parent=one.parent,
    )
    status, *_ = await scripts.run_async(client, call)
    if status == b"full":
        raise QueueFull(f"the queue {one.queue!r} is at its limit of {chosen.max_queue} deliveries: try again later")
    return id, bool(status == b"ok")
