"""Return jobs to the queue: separately, later, after their process died, or when their worker shuts down."""

from __future__ import annotations

import base64
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import redis as redis_py

from app.broker import names
from app.broker.celery import app
from app.broker.envelope import envelope
from app.core.deliveries import Delivery, Outcome
from app.core.errors import CeleriacError, PayloadLost, StoreUnavailable, TimeLimitExceeded
from app.core.jobs import new_id
from app.settings import settings
from app.store import deliveries, scripts
from app.store.blobs import blobs, head, is_reference, peek
from app.worker.outcomes import write_outcomes

log = logging.getLogger(__name__)
_POSTPONED_S: Final = 5.0
"""Least time after which a bucket that did not answer is asked for the inputs of a job again."""


def read_delivery(body: bytes) -> tuple[Delivery, CeleriacError | None]:
    """Unpack a delivery. If its blob is lost or cannot be read now, it has no inputs, and the error says why."""
    try:
        return Delivery.unpack(blobs().fetch(body)), None
    except (PayloadLost, StoreUnavailable) as error:
        if not is_reference(body):
            raise
        log.error("%s", error.detail)
        return head(body), error


def postpone(client: redis_py.Redis, queue: str, delivery: Delivery, attempts: Sequence[int | None]) -> None:
    """Return a recorded delivery to the queue, because its inputs are in a bucket that does not answer. No attempt counts."""
    started = [job for job, attempt in zip(delivery.jobs, attempts, strict=True) if attempt and attempt > 0]
    scripts.run(client, scripts.postpone(queue, delivery.id, started, _POSTPONED_S * (1 + random.random())))


def requeue_individually(client: redis_py.Redis, queue: str, delivery: Delivery, attempts: Sequence[int], limit_s: float) -> None:
    """Make a delivery of its own for each job that is to run: `attempts` above 0."""
    chosen = [at for at, attempt in enumerate(attempts) if attempt > 0]
    parts = [delivery.only([at], new_id(time.time())) for at in chosen]
    if delivery.recorded:
        messages = [(part, pack_message(part, queue, limit_s), 0.0, attempts[at]) for at, part in zip(chosen, parts, strict=True)]
        scripts.run(client, scripts.requeue(queue, delivery.id, messages, ttl=settings().job_ttl_s, give_back=True, blobs=blobs()))
        return
    tried = [replace(part, tried=attempts[at] - 1) for at, part in zip(chosen, parts, strict=True)]
    deliveries.push(client, queue, [pack_message(part, queue, limit_s) for part in tried])


def retry_later(
    client: redis_py.Redis, queue: str, delivery: Delivery, at: int, attempt: int, delay_s: float, limit_s: float, *, give_back: bool
) -> bool:
    """Make a delivery of its own for one job, which is due after a delay.

    Args:
        client: A connection to Redis.
        queue: The queue of the delivery.
        delivery: The delivery that the job belongs to.
        at: The job's position in the delivery.
        attempt: The number of the attempt that failed.
        delay_s: Seconds until the next attempt.
        limit_s: The hard time limit of the next attempt.
        give_back: The failed attempt does not count.

    Returns:
        False if the job has ended meanwhile.
    """
    part = delivery.only([at], new_id(time.time()))
    call = scripts.requeue(
        queue,
        delivery.id,
        [(part, pack_message(part, queue, limit_s), delay_s, attempt)],
        ttl=settings().job_ttl_s,
        give_back=give_back,
        blobs=blobs(),
    )
    return bool(scripts.run(client, call))


def requeue_lost(client: redis_py.Redis, queue: str, id: str, body: str | None, limit_s: float) -> None:
    """Make a new message for a delivery whose process died, or whose model is paused. The next start counts the attempt."""
    if body is None:
        packed = deliveries.read_body(client, id)
        shown = peek(packed) if packed else None
        text = envelope(app, names.PREDICT, id, (id, None), queue, time_limit_s=limit_s, enqueued_at=time.time(), shown=shown)
        scripts.run(client, scripts.enqueue(queue, id, text))
        return
    carried = deliveries.carried(client, id, body)
    if carried is not None:
        delivery, _ = read_delivery(carried)
        _push(client, queue, replace(delivery, tried=delivery.tried + 1), limit_s)


def release_on_shutdown(client: redis_py.Redis, queue: str, id: str, body: str | None, limit_s: float) -> None:
    """Return a delivery that still runs while its worker shuts down. Other workers run its jobs, and none of them loses an attempt."""
    packed = deliveries.read_body(client, id) if body is None else deliveries.carried(client, id, body)
    if packed is None:
        return
    delivery, lost = read_delivery(packed)
    if body is not None:
        _push(client, queue, delivery, limit_s)
        return
    attempts = deliveries.running_attempts(client, delivery.jobs)
    if attempts.count(None) == len(attempts):
        requeue_lost(client, queue, id, body, limit_s)
        return
    if isinstance(lost, StoreUnavailable):
        postpone(client, queue, delivery, attempts)
        return
    requeue_individually(client, queue, delivery, [attempt or 0 for attempt in attempts], limit_s)
    write_outcomes(client, queue, delivery, [])


def fail_timed_out(client: redis_py.Redis, queue: str, id: str, body: str | None, limit_s: float) -> None:
    """Handle a process that was killed at the hard time limit.

    A job that was alone in its delivery has failed. Of several it is not known which one is slow, so each is tried alone. A job that had not
    begun has not used its time: its process waited for Redis.
    """
    packed = deliveries.read_body(client, id) if body is None else deliveries.carried(client, id, body)
    if packed is None:
        return
    delivery, lost = read_delivery(packed)
    if delivery.recorded and isinstance(lost, StoreUnavailable):
        # It has used its time waiting for the bucket.
        postpone(client, queue, delivery, deliveries.running_attempts(client, delivery.jobs))
        return
    began = not delivery.recorded or any(deliveries.running_attempts(client, delivery.jobs))
    if len(delivery.jobs) > 1 or not began:
        requeue_lost(client, queue, id, body, limit_s)
        return
    attempt = deliveries.read_attempt(client, delivery.jobs[0])
    what = delivery.work or f"{delivery.model}@{delivery.version}"
    error = TimeLimitExceeded(f"{what} ran longer than its limit of {limit_s:g} s, and its process was killed.")
    write_outcomes(client, queue, delivery, [Outcome(delivery.jobs[0], error=error, attempt=attempt)])


def pack_message(delivery: Delivery, queue: str, limit_s: float) -> bytes:
    """Return Celery's message for a delivery. One without records travels inside of it."""
    body = None if delivery.recorded else base64.b64encode(blobs().keep_delivery(delivery, settings().infer_timeout_s + 60)).decode()
    return envelope(
        app, names.PREDICT, delivery.id, (delivery.id, body), queue, time_limit_s=limit_s, enqueued_at=time.time(), shown=delivery
    )


def _push(client: redis_py.Redis, queue: str, delivery: Delivery, limit_s: float) -> None:
    deliveries.push(client, queue, [pack_message(delivery, queue, limit_s)])
