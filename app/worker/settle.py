"""Settle a delivery: write its outcomes, and requeue the jobs that are to be tried again."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from typing import Final

from app import metrics
from app.broker import names
from app.core import retries
from app.core.deliveries import Outcome
from app.core.errors import FilesUnavailable, StorageFull, StoreUnavailable, WorkerLost
from app.core.handlers import TaskSpec
from app.core.models import RetryPolicy
from app.settings import settings
from app.store import deliveries
from app.worker import oom_kills, requeue
from app.worker.claim import USED_UP, Claim
from app.worker.outcomes import write_outcomes
from app.worker.pool_process import PoolProcess

_NO_STORAGE: Final[Mapping[type[object], RetryPolicy]] = {
    StorageFull: RetryPolicy(max_attempts=5, backoff_s=1.0),
    FilesUnavailable: RetryPolicy(max_attempts=12, backoff_s=1.0, max_backoff_s=15.0),
    StoreUnavailable: RetryPolicy(max_attempts=12, backoff_s=1.0, max_backoff_s=15.0),
}
"""Retries while files cannot be read or written. These attempts do not count: neither the job nor its worker is to blame."""


def settle(process: PoolProcess, claim: Claim, predicted: Sequence[Outcome] | None) -> None:
    """Settle a delivery.

    Args:
        process: The process that ran it.
        claim: The delivery.
        predicted: An outcome for each job that ran. None: the jobs are to be tried separately.
    """
    delivery, attempts = claim.delivery, claim.attempts
    if predicted is None:
        requeue.requeue_individually(process.redis, claim.queue, delivery, attempts, claim.limit_s)
    answers = iter(predicted or ())
    outcomes, policy = [], _policy(process, claim)
    for at, (job, attempt) in enumerate(zip(delivery.jobs, attempts, strict=True)):
        if attempt == USED_UP:
            lost = WorkerLost(oom_kills.explain(process.redis, delivery, job))
            outcomes.append(Outcome(job, error=lost, attempt=policy.max_attempts))
        elif attempt > 0 and predicted is not None:
            outcome = next(answers)
            outcome.attempt = attempt
            if not _retried(process, claim, at, outcome, policy):
                outcomes.append(outcome)
    shares = dict(zip(delivery.jobs, delivery.shares, strict=True))
    for outcome in outcomes:
        outcome.started_at, outcome.share = claim.started_at, shares[outcome.job]
    write_outcomes(process.redis, claim.queue, delivery, outcomes)
    if delivery.recorded:
        _count_cost(claim)


def _count_cost(claim: Claim) -> None:
    """Count what a run cost. That of synchronous predictions is counted by the API process, which measures their usage."""
    pool = names.pool_of(claim.queue)
    cost = settings().meter.cost(pool, time.monotonic() - claim.claimed_at)
    if cost is not None:
        metrics.COST.labels(pool, claim.delivery.model).inc(cost)


def _policy(process: PoolProcess, claim: Claim) -> RetryPolicy:
    delivery = claim.delivery
    if delivery.work and delivery.inputs:
        return TaskSpec.unpack(delivery.inputs).retries
    return process.models.retries(delivery.model, delivery.version)


def _retried(process: PoolProcess, claim: Claim, at: int, outcome: Outcome, policy: RetryPolicy) -> bool:
    """Requeue a failed attempt if it is to be tried later. Callers who wait for an answer get the failure at once instead."""
    if not outcome.transient or not claim.delivery.recorded:
        return False
    no_storage, attempt = _NO_STORAGE.get(type(outcome.error)), outcome.attempt
    if no_storage:
        delay_s = retries.delay(no_storage, deliveries.count_starts(process.redis, outcome.job), random.random())
    else:
        delay_s = retries.delay(policy, attempt, random.random())
    return delay_s is not None and requeue.retry_later(
        process.redis, claim.queue, claim.delivery, at, attempt, delay_s, claim.limit_s, give_back=no_storage is not None
    )
