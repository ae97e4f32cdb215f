"""Outcomes of jobs: made from an error, and written to the store."""

from __future__ import annotations

from collections.abc import Sequence
from traceback import TracebackException
from typing import Final

import redis

from app import metrics
from app.broker import names
from app.core.deliveries import Delivery, Outcome
from app.core.errors import CeleriacError, FilesUnavailable, ModelStoreUnavailable, PredictionOutOfMemory, StoreUnavailable
from app.core.pipelines import STEP
from app.core.trainings import KIND
from app.settings import settings
from app.store import scripts
from app.store.blobs import blobs

_TRANSIENT: Final = (PredictionOutOfMemory, ModelStoreUnavailable, StoreUnavailable, FilesUnavailable)
_TRACEBACK: Final = 8192
"""Characters of a traceback that are kept, its end: the model's own frames."""


def failed_outcome(job: str, error: CeleriacError) -> Outcome:
    """Return the outcome of a job that failed. It is transient if memory or a connection was lacking."""
    transient = isinstance(error, _TRANSIENT) or isinstance(error.__cause__, ConnectionError | TimeoutError)
    return Outcome(job, error=error, transient=transient, traceback=_traceback(error.__cause__) if error.__cause__ else "")


def write_outcomes(client: redis.Redis, queue: str, delivery: Delivery, outcomes: Sequence[Outcome]) -> None:
    """End a delivery: write its outcomes, and count those that came too late."""
    configured = settings()
    # A step's answer is needed until its pipeline ends.
    keep = {STEP: configured.job_ttl_s, KIND: configured.training_ttl_s}.get(delivery.work, configured.result_ttl_s)
    call = scripts.finish(
        queue,
        delivery,
        outcomes,
        keep=keep,
        keep_dead=configured.dead_letter_ttl_s,
        max_dead=configured.max_dead_letters,
        blobs=blobs(),
        pool=names.pool_of(queue),
        meter=configured.meter,
        input_bytes=configured.job_input_bytes,
    )
    late = scripts.run(client, call)
    if late:
        metrics.JOBS_LATE.labels(delivery.model, delivery.version).inc(late)


def _traceback(error: BaseException) -> str:
    """Return the last frames and the message. A message may hold a whole array, so each part is bounded too."""
    kept: list[str] = []
    left = _TRACEBACK
    for part in reversed(list(TracebackException.from_exception(error).format())):
        text = part if len(part) <= _TRACEBACK // 4 else part[: _TRACEBACK // 4] + "…\n"
        left -= len(text)
        if left < 0:
            break
        kept.append(text)
    return "".join(reversed(kept)).encode(errors="backslashreplace").decode()
