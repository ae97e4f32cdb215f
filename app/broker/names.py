"""The names of queues and tasks. A queue is a Celery queue; its Redis list is the key prefix and the name."""

from __future__ import annotations

from typing import Final

PREDICT: Final = "celeriac.predict"
"""The task that runs one delivery."""

ASK: Final = "celeriac.ask"
"""The task of `app.canvas`, for the Celery canvas of users."""

INTERRUPT: Final = "interrupt"
"""The remote control command that stops a running delivery. Its jobs that were not cancelled are retried one by one."""


def interactive(pool: str) -> str:
    """Return the queue of single predictions."""
    return pool


def bulk(pool: str) -> str:
    """Return the queue of batches, which workers take from after the interactive one."""
    return f"{pool}.bulk"


def queues(pool: str) -> tuple[str, str]:
    """Return both queues of a pool."""
    return interactive(pool), bulk(pool)


def pool_of(queue: str) -> str:
    """Return the pool whose workers take from a queue."""
    return queue.removesuffix(".bulk")
