"""Runs a delivery that is not a prediction. Its kinds register themselves where they are imported."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from celery.exceptions import SoftTimeLimitExceeded
from redis.exceptions import RedisError

from app.core.deliveries import Delivery, Outcome
from app.core.errors import CeleriacError, PredictionOutOfMemory, StorageFull, TimeLimitExceeded, WorkFailed, told
from app.core.handlers import HANDLERS, RESULT, TaskSpec, as_tensor
from app.store import keys
from app.store.files import full
from app.worker import pool_process, progress
from app.worker.cancellation import arm, interruptible
from app.worker.log_capture import Output
from app.worker.prediction import failed

_KINDS: Final = (
    "app.worker.batches.plan",
    "app.worker.batches.chunk",
    "app.worker.batches.assembly",
    "app.worker.pipeline_step",
    "app.trainings.work",
    "app.runtime.sample_steps",
)
"""Modules of ours that register kinds of work."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Context:
    job: str
    attempt: int

    def model(self, name: str, version: str) -> Any:
        return pool_process.models().get(name, version)

    def progress(self, fraction: float, text: str = "") -> None:
        progress.say(fraction, text)

    def wanted(self) -> bool:
        try:
            state, attempt = pool_process.redis().hmget(keys.job(self.job), "state", "attempt")
        except RedisError as error:
            raise ConnectionError(f"Redis does not answer: {error}") from error
        return state == b"running" and int(attempt or 0) == self.attempt


def load(imports: str) -> None:
    """Imports our kinds, and the modules that `imports` names, separated by commas. In the parent, before the fork."""
    for module in (*_KINDS, *filter(None, map(str.strip, imports.split(",")))):
        import_module(module)


def perform(delivery: Delivery, attempt: int, limit_s: float) -> list[Outcome]:
    """The one outcome of the delivery."""
    [job] = delivery.jobs
    order, began, output = TaskSpec.unpack(delivery.inputs), time.perf_counter(), Output()
    arm()
    try:
        with interruptible(), output.listening():
            if delivery.work not in HANDLERS:
                raise WorkFailed(f"this worker does not know work of the kind {delivery.work!r}: it is older than what submitted it")
            result = HANDLERS[delivery.work](order.spec, _Context(job, attempt))
        outcome = Outcome(job, [as_tensor(RESULT, result)])
    except SoftTimeLimitExceeded as error:
        outcome = failed(job, _caused(TimeLimitExceeded(f"it ran longer than its limit of {limit_s:g} s"), error))
    except CeleriacError as error:
        outcome = failed(job, error)
    except MemoryError as error:
        outcome = failed(job, _caused(PredictionOutOfMemory("it needed more memory than there is"), error))
    except Exception as error:
        log.exception("%s %s", delivery.work, job)
        outcome = failed(job, _caused(_unexpected(error), error))
    outcome.transient |= isinstance(outcome.error, StorageFull)
    outcome.run_s, outcome.logs = time.perf_counter() - began, str(output)
    return [outcome]


def _unexpected(error: Exception) -> CeleriacError:
    return (isinstance(error, OSError) and full(error)) or WorkFailed(told(error))


def _caused(error: CeleriacError, cause: BaseException) -> CeleriacError:
    error.__cause__ = cause
    return error
