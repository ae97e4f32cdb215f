"""Giving jobs back to the queue: apart from each other, later, or after their worker died."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import redis as redis_py

from app import metrics
from app.broker import names
from app.broker.celery import app
from app.broker.envelope import envelope
from app.core.deliveries import Delivery, Outcome
from app.core.errors import PayloadLost, TimeLimitExceeded
from app.core.jobs import new_id
from app.core.pipelines import STEP
from app.core.trainings import KIND
from app.settings import settings
from app.store import keys, scripts
from app.store.blobs import blobs, head, is_reference, peek

log = logging.getLogger(__name__)


def unpacked(body: bytes) -> Delivery:
    """The delivery itself; without its inputs where its blob is lost."""
    try:
        return Delivery.unpack(blobs().fetch(body))
    except PayloadLost as error:
        if not is_reference(body):
            raise
        log.error("%s", error.detail)
        return head(body)


def split(client: redis_py.Redis, queue: str, delivery: Delivery, attempts: Sequence[int], limit_s: float) -> None:
    """Each job that is to run becomes a delivery of its own."""
    chosen = [at for at, attempt in enumerate(attempts) if attempt > 0]
    apart = [delivery.only([at], new_id(time.time())) for at in chosen]
    if delivery.recorded:
        listed = [(one, message(one, queue, limit_s), 0.0, attempts[at]) for at, one in zip(chosen, apart, strict=True)]
        scripts.run(client, scripts.requeue(queue, delivery.id, listed, ttl=settings().job_ttl_s, give_back=True, blobs=blobs()))
        return
    with client.pipeline() as pipe:
        for at, one in zip(chosen, apart, strict=True):
            push(pipe, queue, replace(one, tried=attempts[at] - 1), limit_s)
        pipe.execute()


def later(
    client: redis_py.Redis, queue: str, delivery: Delivery, at: int, attempt: int, delay_s: float, limit_s: float, *, give_back: bool
) -> bool:
    """Job `at` becomes a delivery of its own that is due after `delay_s`; `give_back`: the attempt does not count.

    False where it has ended meanwhile.
    """
    one = delivery.only([at], new_id(time.time()))
    call = scripts.requeue(
        queue,
        delivery.id,
        [(one, message(one, queue, limit_s), delay_s, attempt)],
        ttl=settings().job_ttl_s,
        give_back=give_back,
        blobs=blobs(),
    )
    return bool(scripts.run(client, call))


def lost(client: redis_py.Redis, queue: str, id: str, body: str | None, limit_s: float) -> None:
    """A worker process died with this delivery: it gets a new message. Its next start counts the attempt."""
    if body is None:
        packed: Any = client.hget(keys.delivery(id), "body")
        shown = peek(packed) if packed else None
        text = envelope(app, names.PREDICT, id, (id, None), queue, time_limit_s=limit_s, enqueued_at=time.time(), shown=shown)
        scripts.run(client, scripts.enqueue(queue, id, text))
        return
    delivery = unpacked(base64.b64decode(body))
    push(client, queue, replace(delivery, tried=delivery.tried + 1), limit_s)


def hand_back(client: redis_py.Redis, queue: str, id: str, body: str | None, limit_s: float) -> None:
    """The worker leaves before this delivery has ended: others run its jobs, and none of them loses an attempt."""
    if body is not None:
        delivery = unpacked(base64.b64decode(body))
        push(client, queue, delivery, limit_s)
        return
    packed: Any = client.hget(keys.delivery(id), "body")
    if packed is None:
        return
    delivery = unpacked(packed)
    found: list[Any] = [client.hmget(keys.job(job), "state", "attempt") for job in delivery.jobs]
    if not any(state == b"running" for state, _ in found):
        lost(client, queue, id, body, limit_s)
        return
    split(client, queue, delivery, [int(attempt) if state == b"running" else 0 for state, attempt in found], limit_s)
    finish(client, queue, delivery, [])


def timed_out(client: redis_py.Redis, queue: str, id: str, body: str | None, limit_s: float) -> None:
    """The hard time limit killed the process. One job alone has failed; of several nobody knows which, so they are tried apart."""
    packed: Any = base64.b64decode(body) if body is not None else client.hget(keys.delivery(id), "body")
    if packed is None:
        return
    delivery = unpacked(packed)
    if len(delivery.jobs) > 1:
        lost(client, queue, id, body, limit_s)
        return
    attempt = int(client.hget(keys.job(delivery.jobs[0]), "attempt") or 1)
    what = delivery.work or f"{delivery.model}@{delivery.version}"
    error = TimeLimitExceeded(f"{what} ran longer than its limit of {limit_s:g} s, and its process was killed")
    finish(client, queue, delivery, [Outcome(delivery.jobs[0], error=error, attempt=attempt)])


def finish(client: redis_py.Redis, queue: str, delivery: Delivery, outcomes: Sequence[Outcome]) -> None:
    """Writes outcomes, and counts those that came too late."""
    one = settings()
    # What a step answered is needed until its pipeline ends.
    keep = {STEP: one.job_ttl_s, KIND: one.training_ttl_s}.get(delivery.work, one.result_ttl_s)
    call = scripts.finish(
        queue, delivery, outcomes, keep=keep, keep_dead=one.dead_letter_ttl_s, max_dead=one.max_dead_letters, blobs=blobs()
    )
    late = scripts.run(client, call)
    if late:
        metrics.JOBS_LATE.labels(delivery.model, delivery.version).inc(late)


def message(delivery: Delivery, queue: str, limit_s: float) -> bytes:
    """Celery's message for a delivery; one without records travels in it."""
    body = None if delivery.recorded else base64.b64encode(blobs().keep_delivery(delivery, settings().infer_timeout_s + 60)).decode()
    return envelope(
        app, names.PREDICT, delivery.id, (delivery.id, body), queue, time_limit_s=limit_s, enqueued_at=time.time(), shown=delivery
    )


def push(client: redis_py.Redis, queue: str, delivery: Delivery, limit_s: float) -> None:
    client.lpush(keys.list_of(queue), message(delivery, queue, limit_s))
