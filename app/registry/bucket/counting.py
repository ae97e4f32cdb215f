"""The metrics of downloads."""

from __future__ import annotations

from app import metrics
from app.registry.bucket.cache import Pull


def count(pull: Pull) -> None:
    """Count a download."""
    if pull.bytes:
        metrics.MODEL_PULLED_BYTES.inc(pull.bytes)
        metrics.MODEL_PULL_SECONDS.observe(pull.seconds)
    metrics.MODEL_EVICTIONS.inc(pull.evicted)
    metrics.MODEL_CACHE_BYTES.set(pull.cached)
