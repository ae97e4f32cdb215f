"""Which jobs a list shows, and which ones a bulk action cancels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.core.jobs import State

PREDICTION: Final = "prediction"
"""What a filter calls the kind of a prediction, whose record names none."""


@dataclass(frozen=True, slots=True)
class JobHead:
    """What a filter compares of a job's record. `error` is the code of its error, or None."""

    model: str
    version: str
    state: str
    kind: str
    pool: str
    error: str | None


@dataclass(frozen=True, slots=True)
class JobFilter:
    """What jobs must have in common. None matches every job.

    Attributes:
        model: Name of a model or a pipeline, or `name@version`.
        states: States of the jobs.
        error: Code of their error.
        id_prefix: What their IDs begin with.
        owner: Their owner.
        kind: Kind of work; that of a prediction is `PREDICTION`.
        pool: The pool that runs them.
        since: Time of the oldest one that may match, in seconds since 1970.
        until: Time of the newest one that may match.
    """

    model: str | None = None
    states: frozenset[State] | None = None
    error: str | None = None
    id_prefix: str | None = None
    owner: str | None = None
    kind: str | None = None
    pool: str | None = None
    since: float | None = None
    until: float | None = None

    @property
    def narrow(self) -> bool:
        """Whether some jobs of the owner and the span of time may not match."""
        return any(part is not None for part in (self.model, self.states, self.error, self.id_prefix, self.kind, self.pool))

    def matches(self, job: JobHead) -> bool:
        """Return whether the parts match that are in the record of a job."""
        if self.model not in (None, job.model, f"{job.model}@{job.version}"):
            return False
        if self.states is not None and job.state not in self.states:
            return False
        return self.error in (None, job.error) and self.kind in (None, job.kind or PREDICTION) and self.pool in (None, job.pool)
