"""The names of queues and tasks, spelled once. A queue is a Celery queue; its Redis list is the key prefix and the name."""

from __future__ import annotations

from typing import Final

PREDICT: Final = "celeriac.predict"
"""The task that runs one delivery."""

ASK: Final = "celeriac.ask"
"""The task of `app.canvas`, for canvas that people write themselves."""

INTERRUPT: Final = "interrupt"
"""The remote control command that stops a running delivery; its jobs that were not cancelled are tried again, apart."""


def interactive(pool: str) -> str:
    """The lane of single predictions."""
    return pool


def bulk(pool: str) -> str:
    """The lane of batches, taken after the interactive one."""
    return f"{pool}.bulk"


def queues(pool: str) -> tuple[str, str]:
    """Both lanes of a pool."""
    return interactive(pool), bulk(pool)


def pool_of(queue: str) -> str:
    """The pool whose workers take from a queue."""
    return queue.removesuffix(".bulk")
