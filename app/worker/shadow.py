"""The Celery task that lets a shadow predict what another version has answered, and compares the answers. Nobody waits for it."""

from __future__ import annotations

import base64
import logging
import time
from typing import Final

from celery.exceptions import SoftTimeLimitExceeded
from redis.exceptions import RedisError

from app import metrics
from app.broker import names
from app.broker.celery import app
from app.core.codec import unpack
from app.core.errors import CeleriacError
from app.core.shadows import Comparison, compare
from app.store import shadows
from app.worker import pool_process

log = logging.getLogger(__name__)
_OLDEST_S: Final = 60.0
"""Older ones are dropped: other work came first."""


@app.task(name=names.SHADOW, acks_late=False, ignore_result=True, reject_on_worker_lost=False)
def predict_shadow(body: str) -> None:
    """Predict once. If it fails, or kills its process, nothing is tried again.

    Args:
        body: What `app.worker.shadowing.message` packed.
    """
    process = pool_process.current()
    header, tensors = unpack(base64.b64decode(body))
    inputs, outputs = tensors[: header["inputs"]], tensors[header["inputs"] :]
    name, version, shadow = header["model"], header["version"], header["shadow"]
    if time.time() - header["at"] > _OLDEST_S:
        metrics.SHADOW_JOBS.labels(name, version, "dropped").inc()
        return
    comparison: Comparison | None = None
    try:
        answers = process.models.get(name, shadow).predict(inputs, tuple(header["outputs"]))
        comparison = compare(outputs, answers)
    except (CeleriacError, SoftTimeLimitExceeded) as error:
        log.info("A shadow failed: model=%s version=%s: %s", name, shadow, error)
    metrics.SHADOW_JOBS.labels(name, version, "failed" if comparison is None else "compared").inc()
    try:
        shadows.record(process.redis, (name, version, shadow), comparison)
    except (RedisError, OSError) as error:
        log.warning("Could not record a comparison: model=%s version=%s: %s", name, shadow, error)
