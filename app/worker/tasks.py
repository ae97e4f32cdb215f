"""The task that runs a delivery: take it, predict, write the outcomes. Thin: the rules are in `store`, `core` and beside."""

from __future__ import annotations

import base64
import random
import time
from typing import Any

from app import metrics
from app.broker import names
from app.broker.celery import app
from app.core import retries
from app.core.deliveries import Delivery, Outcome
from app.core.errors import InvalidOutput, PayloadLost, PredictionFailed, StorageFull, WorkerLost
from app.core.handlers import TaskSpec
from app.core.models import RetryPolicy
from app.settings import settings
from app.store import keys, scripts
from app.store.blobs import blobs
from app.worker import oom_kills, pool_process, progress, requeue
from app.worker.handlers import perform
from app.worker.prediction import predict
from app.worker.request import DeliveryRequest

_USED_UP = -1
_BY_THE_MODEL = (PredictionFailed, InvalidOutput)
_ROOM = RetryPolicy(max_attempts=5, backoff_s=1.0)
"""Where the disk is full. Attempts that end so do not count: neither the job nor its worker is to blame."""


@app.task(name=names.PREDICT, bind=True, Request=DeliveryRequest)
def predict_delivery(self: Any, id: str, body: str | None) -> None:
    """`body` holds a delivery whose callers wait; without it the delivery is in the store, and so are its jobs."""
    queue = self.request.delivery_info["routing_key"]
    taken = _take(queue, id) if body is None else (base64.b64decode(body), 0.0, None)
    if taken is None:
        return
    packed, started_at, attempts = taken
    delivery = requeue.unpacked(packed)
    if attempts is None:
        attempts = _attempts(delivery, self.request)
    if attempts:
        _run(queue, delivery, attempts, started_at, self.request.timelimit[1])
    blobs().remove(packed)


def _run(queue: str, delivery: Delivery, attempts: list[int], started_at: float, limit_s: float) -> None:
    metrics.QUEUE_SECONDS.labels(delivery.model, delivery.version).observe(max(0.0, time.time() - delivery.enqueued_at))
    loaded = (delivery.model, delivery.version) in pool_process.models().loaded
    if len(delivery.jobs) > 1 and max(attempts) > 1:
        # One of them may have killed the worker: apart, it takes none of the others with it.
        predicted = None
    else:
        running = delivery.only([at for at, attempt in enumerate(attempts) if attempt > 0])
        with progress.of(dict(zip(delivery.jobs, attempts, strict=True)) if delivery.recorded else {}):
            predicted = _predicted(running, max(attempts), limit_s)
    if predicted is None:
        requeue.split(pool_process.redis(), queue, delivery, attempts, limit_s)
    answers = iter(predicted or ())
    outcomes, policy = [], _policy(delivery)
    for at, (job, attempt) in enumerate(zip(delivery.jobs, attempts, strict=True)):
        if attempt == _USED_UP:
            lost = WorkerLost(oom_kills.explain(pool_process.redis(), delivery, job))
            outcomes.append(Outcome(job, error=lost, attempt=policy.max_attempts))
        elif attempt > 0 and predicted is not None:
            outcome = next(answers)
            outcome.attempt = attempt
            if not _retried(queue, delivery, at, outcome, policy, limit_s):
                outcomes.append(outcome)
    for outcome in outcomes:
        outcome.started_at = started_at
    requeue.finish(pool_process.redis(), queue, delivery, outcomes)
    if predicted is not None:
        _worn(delivery, predicted, loaded)


def _worn(delivery: Delivery, outcomes: list[Outcome], loaded: bool) -> None:
    """What the delivery did to this process, after its callers have their answers. `loaded`: its model was there before."""
    model = None if delivery.work else pool_process.models().loaded.get((delivery.model, delivery.version))
    what = delivery.work or f"{delivery.model}@{delivery.version}"
    pool_process.wear().used(what, model.manifest if model else None, len(outcomes), loaded=model is not None and not loaded)
    if model is not None:
        pool_process.wear().answered(model, failed=bool(outcomes) and all(type(outcome.error) in _BY_THE_MODEL for outcome in outcomes))


def _predicted(running: Delivery, attempt: int, limit_s: float) -> list[Outcome] | None:
    """As `predict`. Jobs whose inputs are lost are told so."""
    if not running.jobs:
        return []
    if not running.inputs:
        lost = PayloadLost("the input lay in the folder of blobs, and is gone or cannot be read by the worker: submit the job again")
        return [Outcome(job, error=lost) for job in running.jobs]
    return perform(running, attempt, limit_s) if running.work else predict(running, pool_process.models().get)


def _policy(delivery: Delivery) -> RetryPolicy:
    if delivery.work and delivery.inputs:
        return TaskSpec.unpack(delivery.inputs).retries
    return pool_process.models().retries(delivery.model, delivery.version)


def _take(queue: str, id: str) -> tuple[bytes, float, list[int]] | None:
    """The body of a recorded delivery, when it was taken, and the attempt of each job: 0 is not to run, -1 was tried as often as allowed.
    None: it has ended, or runs elsewhere."""
    started = scripts.run(
        pool_process.redis(), scripts.start(queue, id, pool_process.name(), keep=settings().result_ttl_s, silent_s=settings().silent_s)
    )
    if started is None:
        return None
    body, now, *attempts = started
    return body, float(now), attempts


def _attempts(delivery: Delivery, request: Any) -> list[int]:
    """The same for a delivery without records. Empty: nobody waits for it any longer."""
    if time.time() > delivery.expires_at:
        return []
    attempt = delivery.tried + 1
    if request.delivery_info.get("redelivered"):
        with pool_process.redis().pipeline() as pipe:
            pipe.incr(keys.attempts(delivery.id))
            pipe.expire(keys.attempts(delivery.id), 3600)
            attempt += pipe.execute()[0]
        if attempt <= settings().max_attempts:
            oom_kills.ran(pool_process.redis(), delivery.id, pool_process.name())
    return [attempt if attempt <= settings().max_attempts else _USED_UP] * len(delivery.jobs)


def _retried(queue: str, delivery: Delivery, at: int, outcome: Outcome, policy: RetryPolicy, limit_s: float) -> bool:
    """Was a failed attempt put back to be tried later? Callers who wait for an answer are told at once instead."""
    if not outcome.transient or not delivery.recorded:
        return False
    full, attempt = isinstance(outcome.error, StorageFull), outcome.attempt
    delay = retries.delay(_ROOM, _starts(outcome.job), random.random()) if full else retries.delay(policy, attempt, random.random())
    return delay is not None and requeue.later(pool_process.redis(), queue, delivery, at, attempt, delay, limit_s, give_back=full)


def _starts(job: str) -> int:
    """How often it was begun, whether or not that counted."""
    tries: Any = pool_process.redis().hget(keys.job(job), "tries")
    return (tries or b"\n").count(b"\n")
