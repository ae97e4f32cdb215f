"""Predict a delivery: one call of the model for all of its jobs, and halves of it if that call fails."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace

from celery.exceptions import SoftTimeLimitExceeded

from app import metrics
from app.core.deliveries import Delivery, Outcome
from app.core.errors import CeleriacError, TimeLimitExceeded
from app.core.models import PYTHON
from app.core.stacking import split
from app.runtime.model import Model
from app.worker.log_capture import LogCapture
from app.worker.oom import split_on_oom
from app.worker.outcomes import failed_outcome
from app.worker.pool_process import PoolProcess
from app.worker.streaming import streaming


def predict(process: PoolProcess, delivery: Delivery) -> list[Outcome] | None:
    """Return an outcome for each job, in order.

    Returns:
        None if several jobs ran into the time limit together. They are to be tried separately.
    """
    began = time.perf_counter()
    process.cancellation.arm()
    try:
        model = process.models.get(delivery.model, delivery.version)
        outcomes: list[Outcome] | None = _bisect(process, model, delivery)
    except CeleriacError as error:
        outcomes = [failed_outcome(job, error) for job in delivery.jobs]
    except _JointTimeLimit:
        outcomes = None
    took = time.perf_counter() - began
    metrics.PREDICT_SECONDS.labels(delivery.model, delivery.version).observe(took)
    for outcome in outcomes or ():
        outcome.run_s = took
        code = "succeeded" if outcome.error is None else outcome.error.code
        metrics.JOBS_ENDED.labels(delivery.model, delivery.version, code).inc()
    return outcomes


class _JointTimeLimit(Exception):
    """Several jobs exceeded their time limit in one call."""


def _bisect(process: PoolProcess, model: Model, delivery: Delivery) -> list[Outcome]:
    logs = LogCapture()
    try:
        captured = logs.capture() if model.manifest.format == PYTHON else nullcontext()
        with streaming(process, model), process.cancellation.interruptible(), captured:
            outputs = split_on_oom(model, delivery.inputs, delivery.outputs, one_caller=len(delivery.jobs) == 1)
        parts = split(outputs, delivery.rows)
        # A line of the log may be about the rows of any of the owners.
        text = "" if delivery.mixed else str(logs)
        return [Outcome(job, part, logs=text) for job, part in zip(delivery.jobs, parts, strict=True)]
    except (CeleriacError, SoftTimeLimitExceeded) as raised:
        late = isinstance(raised, SoftTimeLimitExceeded) or isinstance(raised.__cause__, SoftTimeLimitExceeded)
        if late and len(delivery.jobs) > 1:
            raise _JointTimeLimit from None
        failure = _time_limit_exceeded(model, raised.__cause__ or raised) if late else raised
        if len(delivery.jobs) == 1:
            return [replace(failed_outcome(delivery.jobs[0], failure), logs=str(logs))]
    middle = len(delivery.jobs) // 2
    halves = range(middle), range(middle, len(delivery.jobs))
    return [outcome for half in halves for outcome in _bisect(process, model, delivery.only(half))]


def _time_limit_exceeded(model: Model, cause: BaseException) -> TimeLimitExceeded:
    error = TimeLimitExceeded(f"{model} ran longer than its limit of {model.manifest.time_limit_s:g} s.")
    error.__cause__ = cause
    return error
