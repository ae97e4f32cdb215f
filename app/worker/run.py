"""Run a claimed delivery: predict, or call the handler of its kind."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from app import metrics
from app.core.deliveries import Outcome
from app.core.errors import InvalidOutput, PayloadLost, PredictionFailed
from app.store import model_pauses
from app.worker.claim import Claim
from app.worker.handlers import handle
from app.worker.pool_process import PoolProcess
from app.worker.prediction import predict

_MODEL_FAILURES = (PredictionFailed, InvalidOutput)


@dataclass(frozen=True, slots=True)
class Result:
    """What a run produced.

    `outcomes` has one for each job that ran; None if the jobs are to be tried separately. `was_loaded`: the model was in this
    process before.
    """

    outcomes: list[Outcome] | None
    was_loaded: bool


def run(process: PoolProcess, claim: Claim) -> Result:
    """Run a claimed delivery."""
    delivery = claim.delivery
    metrics.QUEUE_SECONDS.labels(delivery.model, delivery.version).observe(max(0.0, time.time() - delivery.enqueued_at))
    was_loaded = (delivery.model, delivery.version) in process.models.loaded
    with process.model_spans.of(delivery, max(claim.attempts)):
        outcomes = _outcomes(process, claim)
    if outcomes and (spans := process.model_spans.take(delivery)):
        outcomes = [replace(outcome, spans=spans) for outcome in outcomes]
    return Result(outcomes, was_loaded)


def measure(process: PoolProcess, claim: Claim, result: Result) -> None:
    """Measure what a delivery did to this process, after its callers have their answers."""
    outcomes, delivery = result.outcomes, claim.delivery
    if outcomes is None:
        return
    model = None if delivery.work else process.models.loaded.get((delivery.model, delivery.version))
    what = delivery.work or f"{delivery.model}@{delivery.version}"
    manifest = model.manifest if model else None
    process.limits.record_delivery(what, manifest, len(outcomes), loaded=model is not None and not result.was_loaded)
    if model is not None:
        process.observer.observe(model.manifest, delivery, outcomes)
        process.shadows.offer(model.manifest, delivery, outcomes)
        process.capturer.capture(model.manifest, delivery, outcomes)
        process.limits.record_call(model, failed=bool(outcomes) and all(type(outcome.error) in _MODEL_FAILURES for outcome in outcomes))


def _outcomes(process: PoolProcess, claim: Claim) -> list[Outcome] | None:
    """Return an outcome for each job that is to run; None if they are to be tried separately."""
    delivery, attempts = claim.delivery, claim.attempts
    if len(delivery.jobs) > 1 and max(attempts) > 1:
        # One of them may have killed the worker: alone, it takes none of the others with it.
        return None
    running = delivery.only([at for at, attempt in enumerate(attempts) if attempt > 0])
    with process.progress.of(dict(zip(delivery.jobs, attempts, strict=True)) if delivery.recorded else {}, mixed=delivery.mixed):
        if not running.jobs:
            return []
        if not running.inputs:
            lost = claim.lost or PayloadLost("The input is missing from the blobs, or the worker cannot read it. Submit the job again.")
            return [Outcome(job, error=lost) for job in running.jobs]
        if not running.recorded and (pause := model_pauses.read(process.redis, running.model)):
            # It was in the queue when the model was paused. Its caller waits for the answer.
            return [Outcome(job, error=pause.refusal(running.model)) for job in running.jobs]
        if running.work:
            return handle(process, running, max(attempts), claim.limit_s)
        return predict(process, running)
