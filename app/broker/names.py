"""The names of queues and tasks. A queue is a Celery queue; its Redis list is the key prefix and the name."""

from __future__ import annotations

from typing import Final

from app.core.tiers import Tier

PREDICT: Final = "celeriac.predict"
"""The task that runs one delivery."""

SHADOW: Final = "celeriac.shadow"
"""The task that lets a shadow predict what another version has answered."""

ASK: Final = "celeriac.ask"
"""The task of `app.canvas`, for the Celery canvas of users."""

INTERRUPT: Final = "interrupt"
"""The remote control command that stops a running delivery. Its jobs that were not cancelled are retried one by one."""


def priority(pool: str) -> str:
    """Return the queue of the tier `priority`, which workers take from first."""
    return f"{pool}.priority"


def interactive(pool: str) -> str:
    """Return the queue of single predictions."""
    return pool


def bulk(pool: str) -> str:
    """Return the queue of batches, which workers take from after the interactive one."""
    return f"{pool}.bulk"


def flex(pool: str) -> str:
    """Return the queue of the tier `flex`, which workers take from last."""
    return f"{pool}.flex"


def queues(pool: str) -> tuple[str, str, str, str]:
    """Return the queues of a pool, in the order in which workers take from them."""
    return priority(pool), interactive(pool), bulk(pool), flex(pool)


def queue(pool: str, tier: Tier) -> str:
    """Return the queue of a service tier."""
    return {Tier.PRIORITY: priority, Tier.DEFAULT: interactive, Tier.FLEX: flex}[tier](pool)


def above(pool: str, tier: Tier) -> tuple[str, tuple[str, ...]]:
    """Return the queue that a delivery of a tier moves to when it has waited for too long, and all queues that go before its own.

    Raises KeyError for the highest tier.
    """
    upper = {Tier.DEFAULT: priority, Tier.FLEX: interactive}[tier](pool)
    every = queues(pool)
    return upper, every[: every.index(queue(pool, tier))]


def pool_of(queue: str) -> str:
    """Return the pool whose workers take from a queue. The name of a pool has no dot."""
    return queue.partition(".")[0]
