"""Waits for the end of a promotion that workers of another pool decide."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import redis
from redis.exceptions import RedisError

from app.core.errors import CeleriacError
from app.core.models import Manifest
from app.core.promotions import Promotion, PromotionState
from app.registry.repository import Repository
from app.store import serving, workers

_POLL_S: Final = 0.25


def outcome(
    client: redis.Redis, repository: Repository, manifest: Manifest, promotion: Promotion, seconds: float, still: Callable[[], None]
) -> Promotion:
    """Return the promotion once a worker has decided it, or after `seconds`. `still` may raise to end the wait.

    Without a live worker of the version's pool it stays pending: the first worker that loads the version decides.
    """
    end = time.monotonic() + seconds
    while True:
        current = _look(client, repository, manifest, promotion)
        if current.state != PromotionState.PENDING or current.reason or time.monotonic() > end:
            break
        still()
        time.sleep(_POLL_S)
    if current.state == PromotionState.PENDING and not current.reason:
        current = replace(current, reason=f"no worker has served it within {seconds:g} s")
    return current


def _look(client: redis.Redis, repository: Repository, manifest: Manifest, promotion: Promotion) -> Promotion:
    slot, name = (manifest.name, promotion.alias), manifest.name
    try:
        served = serving.read(client)
        if served.get(slot) == promotion.version:
            return replace(promotion, state=str(PromotionState.SERVED))
        failure = served.failures_of(name).get(promotion.alias)
        if failure is not None and failure.id == promotion.id:
            return replace(promotion, state=str(PromotionState.FAILED), reason=failure.reason)
        if not any(worker.pool == manifest.pool for worker in workers.living(client)):
            return replace(promotion, reason=f"no worker of the pool {manifest.pool!r} is running; the first one that loads it decides")
    except (RedisError, OSError) as error:
        return replace(promotion, reason=f"Redis does not answer ({error})")
    try:
        target = repository.target(name, promotion.alias)
    except CeleriacError:
        return promotion
    if target != promotion.version:
        return replace(promotion, state=str(PromotionState.FAILED), reason=f"meanwhile {promotion.alias!r} was promoted to {target}")
    return promotion
