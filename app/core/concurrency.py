"""Concurrency keys: a limit on how many jobs of a key are queued or run at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.core.owners import mark

KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")
"""The form of a concurrency key."""
MAX_LIMIT: Final = 1000


class OnFull(StrEnum):
    """What happens to a job whose key has its limit of jobs."""

    QUEUE = "queue"
    """It is held back until one of them has ended."""
    REFUSE = "refuse"
    """It is refused."""
    CANCEL_RUNNING = "cancel_running"
    """The oldest jobs of the key are cancelled."""
    CANCEL_NEWEST = "cancel_newest"
    """It is accepted and cancelled at once."""


@dataclass(frozen=True, slots=True)
class Concurrency:
    """The concurrency key of a job.

    Attributes:
        key: The key, which counts for its owner only.
        limit: The maximum number of jobs of the key.
        on_full: What happens if the key has its limit of jobs.
    """

    key: str
    limit: int = 1
    on_full: OnFull = OnFull.QUEUE

    def name(self, owner: str) -> str:
        """Return the key with the mark of its owner before it."""
        return mark(owner) + self.key


def key_of(name: str) -> str:
    """Return the key in a name."""
    return name.partition("~")[2]
