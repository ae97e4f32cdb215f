"""A delivery becomes outcomes: one call of the model for all of its jobs, and halves of it where that call fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from traceback import TracebackException
from typing import Final

from celery.exceptions import SoftTimeLimitExceeded

from app import metrics
from app.core.deliveries import Delivery, Outcome
from app.core.errors import CeleriacError, PredictionOutOfMemory, TimeLimitExceeded
from app.core.models import PYTHON
from app.core.tensors import split
from app.runtime.model import Model
from app.worker.cancellation import arm, interruptible
from app.worker.log_capture import Output
from app.worker.oom import in_halves
from app.worker.streaming import streaming

_TRACEBACK: Final = 8192
"""Characters of a traceback that are kept, its end: the model's own frames."""


def predict(delivery: Delivery, find: Callable[[str, str], Model]) -> list[Outcome] | None:
    """An outcome for each job, in order. None where several jobs ran into the time limit together: they are to be tried apart."""
    began = time.perf_counter()
    arm()
    try:
        outcomes: list[Outcome] | None = _bisect(find(delivery.model, delivery.version), delivery)
    except CeleriacError as error:
        outcomes = [failed(job, error) for job in delivery.jobs]
    except _TimeIsUp:
        outcomes = None
    took = time.perf_counter() - began
    metrics.PREDICT_SECONDS.labels(delivery.model, delivery.version).observe(took)
    for outcome in outcomes or ():
        outcome.run_s = took
        code = "succeeded" if outcome.error is None else outcome.error.code
        metrics.JOBS_ENDED.labels(delivery.model, delivery.version, code).inc()
    return outcomes


class _TimeIsUp(Exception):
    pass


def _bisect(model: Model, delivery: Delivery) -> list[Outcome]:
    output = Output()
    try:
        with streaming(model), interruptible(), output.listening() if model.manifest.format == PYTHON else nullcontext():
            outputs = in_halves(model, delivery.inputs, delivery.outputs, alone=len(delivery.jobs) == 1)
        parts = split(outputs, delivery.rows)
        return [Outcome(job, part, logs=str(output)) for job, part in zip(delivery.jobs, parts, strict=True)]
    except (CeleriacError, SoftTimeLimitExceeded) as raised:
        late = isinstance(raised, SoftTimeLimitExceeded) or isinstance(raised.__cause__, SoftTimeLimitExceeded)
        if late and len(delivery.jobs) > 1:
            raise _TimeIsUp from None
        failure = _over(model, raised.__cause__ or raised) if late else raised
        if len(delivery.jobs) == 1:
            return [replace(failed(delivery.jobs[0], failure), logs=str(output))]
    middle = len(delivery.jobs) // 2
    halves = range(middle), range(middle, len(delivery.jobs))
    return [outcome for half in halves for outcome in _bisect(model, delivery.only(half))]


def _over(model: Model, cause: BaseException) -> TimeLimitExceeded:
    error = TimeLimitExceeded(f"{model} ran longer than its limit of {model.manifest.time_limit_s:g} s")
    error.__cause__ = cause
    return error


def failed(job: str, error: CeleriacError) -> Outcome:
    transient = isinstance(error, PredictionOutOfMemory) or isinstance(error.__cause__, ConnectionError | TimeoutError)
    return Outcome(job, error=error, transient=transient, traceback=_traceback(error.__cause__) if error.__cause__ else "")


def _traceback(error: BaseException) -> str:
    """The last frames and the message; a message may hold a whole array, so each part is bounded too."""
    kept: list[str] = []
    left = _TRACEBACK
    for part in reversed(list(TracebackException.from_exception(error).format())):
        text = part if len(part) <= _TRACEBACK // 4 else part[: _TRACEBACK // 4] + "…\n"
        left -= len(text)
        if left < 0:
            break
        kept.append(text)
    return "".join(reversed(kept)).encode(errors="backslashreplace").decode()
