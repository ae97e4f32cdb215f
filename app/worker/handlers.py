"""Run a delivery that is not a prediction, by the handler of its kind."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

import redis
from celery.exceptions import SoftTimeLimitExceeded
from redis.exceptions import RedisError

from app.broker.batches import CHUNK
from app.core.deliveries import Delivery, Outcome
from app.core.errors import CeleriacError, PredictionOutOfMemory, StorageFull, TimeLimitExceeded, WorkFailed, error_text
from app.core.handlers import RESULT, Handler, TaskSpec, as_tensor
from app.runtime.model import Model
from app.store import deliveries
from app.store.files import full
from app.worker.log_capture import LogCapture
from app.worker.outcomes import failed_outcome
from app.worker.pool_process import PoolProcess
from app.worker.predict_rows import predict_rows

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Context:
    """What a handler receives: its job, and what it may use of the process that runs it."""

    process: PoolProcess
    job: str
    attempt: int

    @property
    def redis(self) -> redis.Redis:
        return self.process.redis

    @property
    def worker(self) -> str:
        return self.process.name

    def model(self, name: str, version: str) -> Model:
        return self.process.models.get(name, version)

    def predict_rows(self, model: Model, rows: Any, method: str | None) -> Any:
        return predict_rows(self.process, model, rows, method)

    def progress(self, fraction: float, text: str = "") -> None:
        self.process.progress.report(fraction, text)

    def wanted(self) -> bool:
        try:
            return deliveries.is_running(self.process.redis, self.job, self.attempt)
        except RedisError as error:
            raise ConnectionError(f"Redis does not answer: {error}") from error


def handle(process: PoolProcess, delivery: Delivery, attempt: int, limit_s: float) -> list[Outcome]:
    """Run the handler of a delivery, which has one job. Return its outcome in a list."""
    [job] = delivery.jobs
    spec, began, logs = TaskSpec.unpack(delivery.inputs), time.perf_counter(), LogCapture()
    process.cancellation.arm()
    try:
        with process.cancellation.interruptible(), logs.capture():
            result = _handler(process, delivery.work)(spec.spec, _Context(process, job, attempt))
        outcome = Outcome(job, [as_tensor(RESULT, result)], rows=result["rows"] if delivery.work == CHUNK else None)
    except SoftTimeLimitExceeded as error:
        outcome = failed_outcome(job, _caused(TimeLimitExceeded(f"The task ran longer than its limit of {limit_s:g} s."), error))
    except CeleriacError as error:
        outcome = failed_outcome(job, error)
    except MemoryError as error:
        outcome = failed_outcome(job, _caused(PredictionOutOfMemory("The task needed more memory than there is."), error))
    except Exception as error:
        log.exception("A handler failed: kind=%s job=%s", delivery.work, job)
        outcome = failed_outcome(job, _caused(_unexpected(error), error))
    outcome.transient |= isinstance(outcome.error, StorageFull)
    outcome.run_s, outcome.logs = time.perf_counter() - began, str(logs)
    return [outcome]


def _handler(process: PoolProcess, kind: str) -> Handler:
    if kind not in process.handlers:
        raise WorkFailed(
            f"This worker has no handler for tasks of the kind {kind!r}. The process that submitted the task may be newer: upgrade the worker."
        )
    return process.handlers[kind]


def _unexpected(error: Exception) -> CeleriacError:
    return (isinstance(error, OSError) and full(error)) or WorkFailed(error_text(error))


def _caused(error: CeleriacError, cause: BaseException) -> CeleriacError:
    error.__cause__ = cause
    return error
