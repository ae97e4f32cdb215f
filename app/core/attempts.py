"""The attempts of a job: when each began, where, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MAX_ATTEMPTS: Final = 32
"""Attempts of a job that are shown: the last ones. A job has more only if its attempts did not count."""


class AttemptOutcome(StrEnum):
    """How an attempt ended."""

    RUNNING = "running"
    """It has not ended."""
    RETRIED = "retried"
    """The job returned to the queue."""
    WORKER_LOST = "worker_lost"
    """Its worker died. Nobody recorded its end."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a job. `ended_at` is None if its end was not recorded: it runs, it is the last one of the job, or its worker died."""

    started_at: float
    ended_at: float | None = None
    worker: str = ""


def parse(tries: str, ends: str = "") -> tuple[Attempt, ...]:
    """Return the last attempts of a record: `tries` has a line for each start, `ends` one for each end of an attempt that was not the last."""
    ended_at = dict(line.split(" ", 1) for line in ends.splitlines() if " " in line)
    lines = list(enumerate(tries.splitlines(), 1))[-MAX_ATTEMPTS:]
    return tuple(
        Attempt(float(start), float(ended_at[str(number)]) if str(number) in ended_at else None, worker)
        for number, line in lines
        for start, _, worker in [line.partition(" ")]
    )
