"""Submitting a task that is not a prediction, as one recorded job in its own delivery."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio

from app.broker import names
from app.broker.celery import app as celery
from app.broker.envelope import envelope
from app.broker.fair_share import FairShare, model_full, queue_full
from app.core import traces
from app.core.api_keys import DEFAULT_OWNER
from app.core.deliveries import Delivery
from app.core.handlers import RESULT, TaskSpec
from app.core.jobs import new_id
from app.core.models import RetryPolicy
from app.core.rate_limits import Charge
from app.core.tiers import Tier
from app.core.traces import TraceContext
from app.core.webhooks import JobWebhook
from app.settings import Settings
from app.store import rate_limits, scripts
from app.store.records import encode_spec, encode_webhook


@dataclass(frozen=True, slots=True)
class Submission:
    """A task to submit.

    Attributes:
        kind: The kind of the task, which selects its handler.
        spec: What the handler gets.
        queue: The queue.
        id: The id of the job. A second submission under the same id has no effect.
        subject: The name and the version that the job and its metrics are listed under.
        parent: The parent (`batch:ID`) that is due when the job ends. The job is listed with its parent only.
        limit_s: The time limit of an attempt.
        retries: How often the task is tried.
        deadline_s: The seconds that the job may wait; None for the longest time.
        fingerprint: A hash of the request, which recognizes a repeated one.
        request: What is shown with the job, also after its spec has expired.
        webhook: The webhook that the job brings along.
        owner: The owner of the job.
        charge: What the job takes from rate limits, or None.
        tier: The service tier that the record shows. The queue is `queue`.
        model: The model that the task uses, or empty. The task waits while it is paused.
        trace: The trace context of the job, or None.
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
    owner: str = DEFAULT_OWNER
    charge: Charge | None = None
    tier: Tier = Tier.DEFAULT
    model: str = ""
    trace: TraceContext | None = None


async def submit(
    client: redis.asyncio.Redis, settings: Settings, submission: Submission, fair_share: FairShare | None = None
) -> tuple[str, bool]:
    """Submit a task. Return the id of its job, and whether the job is new. With `fair_share` it may wait in the backlog, and costs as much as one row.

    Raises QueueFull, RateLimited, InvalidInput for a spec that is not JSON, or RedisError.
    """
    now = time.time()
    id, (name, version) = submission.id or new_id(now), submission.subject
    inputs = TaskSpec(submission.spec, submission.retries).pack()
    delivery = Delivery(new_id(now), name, version, (RESULT,), "", True, (id,), (1,), inputs, enqueued_at=now, work=submission.kind)
    delivery.traces = traces.for_worker([submission.trace])
    delivery.owners = (submission.owner,) if submission.owner != DEFAULT_OWNER else ()
    message = envelope(
        celery,
        names.PREDICT,
        delivery.id,
        (delivery.id, None),
        submission.queue,
        time_limit_s=submission.limit_s,
        enqueued_at=now,
        shown=delivery,
    )
    call = scripts.submit(
        submission.queue,
        message,
        delivery,
        [encode_spec(name, version, (RESULT,), 1, submission.fingerprint, submission.kind, submission.request, submission.tier)],
        [settings.job_ttl_s if submission.deadline_s is None else submission.deadline_s],
        [encode_webhook(submission.webhook)],
        attempts=submission.retries.max_attempts,
        limit_s=submission.limit_s,
        max_queue=settings.max_queue,
        ttl=settings.job_ttl_s,
        parent=submission.parent,
        owners=[submission.owner],
        charges=[submission.charge],
        shares=fair_share.shares([(submission.owner, 1)]) if fair_share else b"",
        target=fair_share.target(submission.queue) if fair_share else 0,
        model=submission.model,
        traces=[submission.trace],
    )
    status, *rest = await scripts.run_async(client, call)
    if status == b"full":
        raise queue_full(submission.queue, int(rest[0]), settings.max_queue)
    if status == b"paused":
        raise model_full(submission.model, int(rest[0]))
    rate_limits.conclude(status, rest[-1:], submission.charge)
    return id, bool(status == b"ok")
