"""A job: one request to predict, and its states."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from app.core.api_keys import DEFAULT_OWNER
from app.core.attempts import Attempt, AttemptOutcome
from app.core.codec import unpack
from app.core.tensors import Tensor
from app.core.tiers import Tier
from app.core.traces import TraceContext
from app.core.webhooks import JobWebhook


class State(StrEnum):
    """The same words in the API, streams, webhooks and metrics. The last four are final."""

    QUEUED = "queued"
    """Accepted and stored; waits for a worker."""
    RUNNING = "running"
    """A worker runs it."""
    SUCCEEDED = "succeeded"
    """Has a result, which is kept until the job expires."""
    FAILED = "failed"
    """Ended with an error."""
    CANCELLED = "cancelled"
    """Cancelled by the caller."""
    EXPIRED = "expired"
    """Its deadline passed before it ran."""

    @property
    def final(self) -> bool:
        """Whether the state never changes again."""
        return not TRANSITIONS[self]


TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED, State.EXPIRED, State.FAILED}),
    # Queued again for a retry, or after the worker was lost, with one more attempt.
    State.RUNNING: frozenset({State.QUEUED, State.SUCCEEDED, State.FAILED, State.CANCELLED, State.EXPIRED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
    State.EXPIRED: frozenset(),
}

_ID: Final = re.compile(r"[0-9a-f]{32}")
CHOSEN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{7,63}")
"""The form of ids that callers choose. Generated ids have it, too."""


def new_id(now: float) -> str:
    """Return 32 hex digits: 12 of the creation time in milliseconds, so that ids sort by time, and 20 random ones."""
    return f"{int(now * 1000):012x}{os.urandom(10).hex()}"


def created_at(job_id: str) -> float | None:
    """Return the creation time in a generated id (seconds since 1970), or None for an id of another form."""
    return int(job_id[:12], 16) / 1000 if _ID.fullmatch(job_id) else None


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a queued job: about 1 if it is next. `start_s` is the estimated time until its start, None if unknown.

    `waits_for` says what must happen before it can start, apart from its turn.
    """

    position: int
    start_s: float | None = None
    waits_for: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a running attempt: a fraction between 0 and 1, and a short text."""

    fraction: float
    text: str = ""


@dataclass(slots=True)
class Job:
    """The record of a job. Times are seconds since 1970.

    `position` counts the jobs of its queue, starting at 1. `result` holds the packed outputs of a job that succeeded; `tensors` are these
    outputs unpacked, if this process received them. `result_omitted` says that the result was too large to be read with the rest.
    `error` is `CeleriacError.as_dict` of a job that failed. `work` is empty for a prediction, else the kind of the task, and `request` its request; `parent` is what the job is a part of, such as `batch:ID`. `logs` is the end of what
    its code printed. `traceback` is of a failed task; that of a prediction is in its dead letter. `revision` grows with every change of the
    record and with every stream event; `streamed` is the revision before the first stream event, or 0. `fingerprint` is a hash of the request
    if the caller chose the id. `owner` is the owner of the key that submitted the job. `tier` is the service tier that it was submitted with.
    `concurrency` is its concurrency key with the mark of the owner; `held` says that the job is held back because the key has its limit of jobs.
    `share` is the part that it has of the rows of its last call, and `cost` that of the call; None if it did not run, or has no price.
    `reason` says why the server cancelled the job. `trace` is its trace context if it is traced. `attempts` are empty unless the record was read.
    """

    id: str
    state: State
    model: str
    version: str
    outputs: tuple[str, ...]
    rows: int
    created_at: float
    expires_at: float
    attempt: int = 0
    position: int = 0
    left: int | None = None
    queue: str = ""
    revision: int = 1
    streamed: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    worker: str | None = None
    result: bytes | None = None
    result_omitted: bool = False
    tensors: list[Tensor] | None = None
    error: dict[str, Any] | None = None
    fingerprint: str = ""
    delivery: str = ""
    webhook: JobWebhook | None = None
    work: str = ""
    request: dict[str, Any] | None = None
    parent: str = ""
    progress: Progress | None = None
    traceback: str = ""
    logs: str = ""
    owner: str = DEFAULT_OWNER
    tier: Tier = Tier.DEFAULT
    concurrency: str = ""
    held: bool = False
    reason: str = ""
    trace: TraceContext | None = None
    share: float | None = None
    cost: float | None = None
    attempts: tuple[Attempt, ...] = ()

    @property
    def wait_s(self) -> float | None:
        """Seconds in the queue, or None if the job has not started."""
        return None if self.started_at is None else max(0.0, self.started_at - self.created_at)

    def answered(self) -> list[Tensor] | None:
        """Return the outputs, or None if there are none."""
        if self.tensors is None and self.result is not None:
            self.tensors = unpack(self.result)[1]
        return self.tensors

    def outcome_of(self, attempt: Attempt) -> AttemptOutcome:
        """Return how one of the attempts ended."""
        if attempt.ended_at is not None:
            return AttemptOutcome.RETRIED
        if self.state is State.QUEUED or attempt is not self.attempts[-1]:
            return AttemptOutcome.WORKER_LOST
        return AttemptOutcome(self.state)

    @property
    def run_s(self) -> float | None:
        """Seconds from start to end, or None if the job has not ended."""
        return None if self.started_at is None or self.finished_at is None else max(0.0, self.finished_at - self.started_at)
