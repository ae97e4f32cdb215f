"""Why a job waits, and why it was slow: its time by station, compared with that of other jobs of its version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.core.attempts import AttemptOutcome
from app.core.jobs import Job, State
from app.core.stats import quantile

MIN_JOBS: Final = 20
"""With fewer jobs to compare with, nothing is called slow."""


class StationName(StrEnum):
    """Where a job spends its time."""

    ACCEPTED = "accepted"
    """From the arrival of the request until the job was stored. Only traced jobs have it."""
    QUEUED = "queued"
    """Until a worker started the first attempt."""
    RETRIED = "retried"
    """From the first attempt to the last one."""
    RUN = "run"
    """The last attempt, until its outcome was stored."""


@dataclass(frozen=True, slots=True)
class Usual:
    """What other jobs of the version took at a station.

    Attributes:
        jobs: How many jobs these are.
        p50_s: Their median in seconds.
        p99_s: Their 99th percentile in seconds.
    """

    jobs: int
    p50_s: float
    p99_s: float

    @classmethod
    def of(cls, counts: Sequence[int]) -> Usual | None:
        """Return what a histogram of `app.core.stats` says, or None if it has too few jobs."""
        median, high = quantile(counts, 0.5), quantile(counts, 0.99)
        return None if median is None or high is None or sum(counts) < MIN_JOBS else cls(sum(counts), median, high)


@dataclass(frozen=True, slots=True)
class Station:
    """How long a job has been at a station, in seconds, and what is usual there."""

    name: StationName
    seconds: float
    usual: Usual | None = None

    @property
    def slow(self) -> bool:
        """Whether it took longer than 99 of 100 other jobs."""
        return self.usual is not None and self.seconds > self.usual.p99_s


def stations(job: Job, now: float, waits: Usual | None = None, runs: Usual | None = None) -> list[Station]:
    """Return the stations that a job has reached, in their order.

    Args:
        job: The job, as its record was read.
        now: Seconds since 1970, for the station where it is.
        waits: What is usual in the queue.
        runs: What a run usually takes.
    """
    parts = []
    if job.trace is not None and 0 < job.trace.received_at <= job.created_at:
        parts.append(Station(StationName.ACCEPTED, job.created_at - job.trace.received_at))
    end = now if job.finished_at is None else job.finished_at
    first, last = (job.attempts[0].started_at, job.attempts[-1].started_at) if job.attempts else (job.started_at, job.started_at)
    parts.append(Station(StationName.QUEUED, max(0.0, (end if first is None else first) - job.created_at), waits))
    if first is None or last is None:
        return parts
    if job.state is State.QUEUED:
        return [*parts, Station(StationName.RETRIED, max(0.0, now - first))]
    if last > first:
        parts.append(Station(StationName.RETRIED, last - first))
    return [*parts, Station(StationName.RUN, max(0.0, end - last), runs)]


def explain(job: Job, stations: Sequence[Station]) -> list[str]:
    """Return sentences on why a job has taken as long as it has. They are empty if nothing is unusual."""
    lost = sum(job.outcome_of(attempt) is AttemptOutcome.WORKER_LOST for attempt in job.attempts)
    retried = sum(job.outcome_of(attempt) is AttemptOutcome.RETRIED for attempt in job.attempts)
    reasons = []
    if lost:
        reasons.append(f"The worker died during {_number(lost, 'attempt')} of this job, which then waited for another worker.")
    if retried:
        reasons.append(f"{_number(retried, 'attempt')} ended early, and the job was queued again. The log of the worker has the reason.")
    if job.state is State.EXPIRED:
        reasons.append(f"No worker started the job before its deadline, {_time(job.expires_at - job.created_at)} after its submission.")
    if job.state is State.FAILED and job.error:
        reasons.append(str(job.error.get("detail", "")))
    reasons += [_slow(job, station) for station in stations if station.slow]
    if job.share is not None and job.share < 1 and any(station.slow and station.name is StationName.RUN for station in stations):
        reasons.append(f"Other jobs shared its call: {job.share:.0%} of the rows of the call were its own.")
    return reasons


def _slow(job: Job, station: Station) -> str:
    assert station.usual is not None, "without a figure nothing is slow"
    doing = {StationName.QUEUED: "waited in the queue", StationName.RUN: "ran"}[station.name]
    usual = f"half of {station.usual.jobs} recent jobs took up to {_time(station.usual.p50_s)}, and 99 % up to {_time(station.usual.p99_s)}"
    return f"It {doing} for {_time(station.seconds)}. With {job.model}@{job.version}, {usual}."


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
