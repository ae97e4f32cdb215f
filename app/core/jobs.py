"""A job: one request to predict, and the states that it passes through."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from app.core.codec import unpack
from app.core.tensors import Tensor
from app.core.webhooks import JobWebhook


class State(StrEnum):
    """The same words in the API, streams, webhooks, metrics and the console. The last four are final."""

    QUEUED = "queued"
    """Accepted and durable; waits for a worker."""
    RUNNING = "running"
    """A worker has it."""
    SUCCEEDED = "succeeded"
    """Answered; the result is kept until the job expires."""
    FAILED = "failed"
    """Ended with an error that is told."""
    CANCELLED = "cancelled"
    """The caller asked to stop it."""
    EXPIRED = "expired"
    """Its deadline passed before it was run."""

    @property
    def final(self) -> bool:
        return not TRANSITIONS[self]


TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED, State.EXPIRED, State.FAILED}),
    # Back to queued on a retry or a lost worker, with one attempt more.
    State.RUNNING: frozenset({State.QUEUED, State.SUCCEEDED, State.FAILED, State.CANCELLED, State.EXPIRED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
    State.EXPIRED: frozenset(),
}

_ID: Final = re.compile(r"[0-9a-f]{32}")
CHOSEN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{7,63}")
"""The form of every id that a job in the index has, also of one that its caller chose."""


def new_id(now: float) -> str:
    """32 hex digits: 12 of the creation time in milliseconds, so that ids sort by time, and 20 random ones."""
    return f"{int(now * 1000):012x}{os.urandom(10).hex()}"


def created_at(job_id: str) -> float | None:
    """The creation time in an id of ours (seconds since 1970), or None for another form of id."""
    return int(job_id[:12], 16) / 1000 if _ID.fullmatch(job_id) else None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a queued job stands: about 1 when it is next. `start_s` says in how many seconds it may start, None where nobody can tell."""

    position: int
    start_s: float | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running attempt has come: between 0 and 1, and a few words."""

    fraction: float
    text: str = ""


@dataclass(slots=True)
class Job:
    """The record of a job. Times are seconds since 1970; `position` counts the jobs of its queue, the first is 1.

    `result` holds the packed outputs of a job that succeeded, `error` what `CeleriacError.as_dict` said of one that failed.
    `tensors` are those outputs unpacked, where the process that asks has seen them come. `work` is empty for a prediction,
    else its kind, and `request` what was asked for; `parent` is what the job is a part of, as in `batch:ID`. `logs` is what
    the code of its model or work printed, the end of it. `traceback` is of work that failed; that of a prediction is in its
    dead letter. `revision` grows with every change of the record, and with every chunk that its model
    yields; `streamed` is the one before the first of these, 0 where there are none. `fingerprint` is of the request, where its caller chose the id.
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

    @property
    def wait_s(self) -> float | None:
        return None if self.started_at is None else max(0.0, self.started_at - self.created_at)

    def answered(self) -> list[Tensor] | None:
        """What came out, None where nothing did."""
        if self.tensors is None and self.result is not None:
            self.tensors = unpack(self.result)[1]
        return self.tensors

    @property
    def run_s(self) -> float | None:
        return None if self.started_at is None or self.finished_at is None else max(0.0, self.finished_at - self.started_at)
