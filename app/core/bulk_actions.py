"""A bulk action: everything that a filter matches is cancelled, replayed or discarded, step by step, whether or not its caller stays connected."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from app.core.api_keys import Caller
from app.core.job_filters import JobFilter
from app.core.jobs import State

PARENT: Final = "bulk"
"""What the reconciler calls bulk actions."""
OPEN: Final = frozenset({State.QUEUED, State.RUNNING})
"""States of jobs that can be cancelled."""


class BulkKind(StrEnum):
    """What is done."""

    CANCEL = "cancel"
    """Jobs that have not ended are cancelled."""
    REPLAY = "replay"
    """Dead letters are submitted again, each as a new job."""
    DISCARD = "discard"
    """Dead letters are deleted with their input."""


class BulkState(StrEnum):
    """How far it is."""

    RUNNING = "running"
    """Some of what matches has not been looked at."""
    COMPLETED = "completed"
    """All that matched has been cancelled, replayed, discarded or skipped."""


@dataclass(frozen=True, slots=True)
class BulkFilter:
    """What a bulk action is about. None matches everything.

    Attributes:
        model: Name of the model, or `name@version`.
        state: State of the jobs to cancel.
        error: Code of the error of dead letters.
        fingerprint: Cause of dead letters.
        owner: Owner of the jobs to cancel.
        kind: Their kind of work.
        pool: Their pool.
        id_prefix: What their IDs begin with.
        since: Time of the oldest one, in seconds since 1970.
        until: Time of the newest one.
    """

    model: str | None = None
    state: State | None = None
    error: str | None = None
    fingerprint: str | None = None
    owner: str | None = None
    kind: str | None = None
    pool: str | None = None
    id_prefix: str | None = None
    since: float | None = None
    until: float | None = None

    @property
    def jobs(self) -> JobFilter:
        """The jobs to cancel."""
        states = OPEN if self.state is None else frozenset({self.state})
        return JobFilter(self.model, states, None, self.id_prefix, self.owner, self.kind, self.pool, self.since, self.until)


@dataclass(frozen=True, slots=True)
class BulkAction:
    """What was requested, and how far it is. Times are seconds since 1970.

    Attributes:
        id: Its ID.
        kind: What is done.
        filter: What it is done to.
        to: Model reference that dead letters are replayed with, or an empty text for their own.
        owner: Owner of the caller.
        caller: Who requested it and may do it, or None without authentication.
        created_at: When it was requested. Newer jobs and dead letters are left alone.
        matching: How many matched at that time.
        complete: Whether these were all. Otherwise there may be more.
        state: How far it is.
        cursor: What the next step begins after.
        done: How many were cancelled, replayed or discarded.
        skipped: How many had ended meanwhile, or were refused.
        error: Error of the last one that was refused.
        finished_at: When the last step ended.
    """

    id: str
    kind: BulkKind
    filter: BulkFilter
    to: str
    owner: str
    caller: Caller | None
    created_at: float
    matching: int
    complete: bool
    state: BulkState = BulkState.RUNNING
    cursor: str | None = None
    done: int = 0
    skipped: int = 0
    error: dict[str, Any] | None = None
    finished_at: float | None = None
