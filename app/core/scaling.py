"""How many processes a pool needs so that its jobs start within the time that they were promised.

Jobs that wait count by the seconds that they are expected to run, not by their number. Each part of the work states what it needs:

- Work that has begun keeps its processes.
- Work that arrives needs as many processes as it keeps busy, and some in reserve.
- Work that waits must have begun when new processes have started and the rest of the promise is over. A process that would not be needed
  for much longer than it takes to start is not added. Processes that start already count.
- Batches have deadlines of their own. They use what there is, and add processes only if their deadlines need it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Final

UTILIZATION: Final = 0.8
"""The share of their time that processes should be busy. Above it, waits grow quickly with random arrivals."""
DEAD_BAND: Final = 1.2
"""A pool shrinks only if the need times this is below what there is, so that noise removes nothing."""
_WORTH: Final = 1.5
"""A new process must be needed for at least this many times as long as it takes to start, so that a pool does not overshoot."""
_CHUNK_S: Final = 1.0
"""Work of batches is cut into parts of about this length, which cannot use more processes than there are parts."""


@dataclass(frozen=True, slots=True)
class ModelDemand:
    """What is asked of one model.

    Attributes:
        arrival_rate: Jobs per second.
        service_s: Seconds of a process that one job takes.
        waiting: Jobs that wait.
    """

    arrival_rate: float
    service_s: float
    waiting: float


@dataclass(frozen=True, slots=True)
class DeadlineWork:
    """Work that has a deadline and may wait until then: a batch, or jobs of the service tier `flex`.

    Attributes:
        work_s: Seconds of a process that are left.
        left_s: Seconds until the deadline.
    """

    work_s: float
    left_s: float


@dataclass(frozen=True, slots=True)
class Demand:
    """The work of a pool.

    Attributes:
        models: What is asked of each model.
        waiting: Deliveries that wait, for which the promise holds.
        running: Deliveries that run.
        running_long: How many of these run longer than the promise.
        oldest_wait_s: Seconds that the oldest delivery has waited.
        deadlines: Work with deadlines of its own.
        background: Deliveries that wait and have no promise.
        idle_s: Seconds since the pool had work.
    """

    models: tuple[ModelDemand, ...] = ()
    waiting: int = 0
    running: int = 0
    running_long: int = 0
    oldest_wait_s: float = 0.0
    deadlines: tuple[DeadlineWork, ...] = ()
    background: int = 0
    idle_s: float = 0.0

    @property
    def active(self) -> bool:
        """Whether anything runs, waits or arrives."""
        return bool(self.running or self.waiting or self.background or self.deadlines or self.arriving)

    @property
    def arrival_rate(self) -> float:
        """Jobs that arrive per second."""
        return sum(model.arrival_rate for model in self.models)

    @property
    def arriving(self) -> float:
        """Processes that the jobs that arrive keep busy."""
        return sum(model.arrival_rate * model.service_s for model in self.models)

    @property
    def waiting_work_s(self) -> float:
        """Seconds of a process that the jobs that wait will take."""
        return sum(model.waiting * model.service_s for model in self.models)


@dataclass(frozen=True, slots=True)
class Capacity:
    """The processes of a pool.

    Attributes:
        ready: Processes that take work.
        starting: Processes whose pods start.
        start_s: Seconds from the start of a pod until its processes take work.
        processes_per_pod: How many one pod has.
    """

    ready: int
    starting: int = 0
    start_s: float = 0.0
    processes_per_pod: int = 1

    @property
    def present(self) -> int:
        """All processes."""
        return self.ready + self.starting


@dataclass(frozen=True, slots=True)
class Promise:
    """What the callers of a pool were promised.

    Attributes:
        slo_s: Seconds within which a job starts.
        keep_warm_s: Seconds without work after which the pool may have no process.
    """

    slo_s: float
    keep_warm_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """The processes and pods that a pool needs, and why: one sentence for each part."""

    processes: int
    pods: int
    reasons: tuple[str, ...]


def arrival_rate(before: float, now: float, elapsed_s: float) -> float:
    """Return the arrivals per second within the last minute.

    Args:
        before: Arrivals in the minute before.
        now: Arrivals in this minute so far.
        elapsed_s: Seconds since this minute began.
    """
    return (before * (60 - elapsed_s) / 60 + now) / 60


def wanted(demand: Demand, capacity: Capacity, promise: Promise) -> Wanted:
    """Return what a pool needs now.

    Example:
        wanted(Demand((ModelDemand(0.0, 20.0, waiting=6),), waiting=6, running=2, running_long=2), Capacity(ready=2), Promise(5.0)).processes == 8
    """
    reasons = list(_reasons(demand, capacity, promise))
    need = max(float(demand.running), _promised(demand, capacity, promise) + _for_deadlines(demand))
    if demand.active or demand.idle_s < promise.keep_warm_s:
        need = max(need, 1.0)
    if demand.waiting and demand.oldest_wait_s > promise.slo_s and need < capacity.present:
        need = capacity.present
        reasons.append(f"A job has waited for {demand.oldest_wait_s:.1f} s, longer than promised: no process is taken away.")
    processes = ceil(need)
    if processes < capacity.present <= need * DEAD_BAND:
        processes = capacity.present
        reasons.append(f"{need:.1f} processes are needed, so few less than there are that none is taken away.")
    return Wanted(processes, ceil(processes / capacity.processes_per_pod), tuple(reasons))


def _promised(demand: Demand, capacity: Capacity, promise: Promise) -> float:
    """Return the processes that jobs with the promise need."""
    now = demand.running_long + max(_catching_up(demand, capacity, promise), _kept(demand, capacity, promise))
    return max(demand.arriving / UTILIZATION, now)


def _catching_up(demand: Demand, capacity: Capacity, promise: Promise) -> float:
    """Return the processes that what arrives and what waits need beside long runs, at most one for each delivery."""
    long = sum(model.arrival_rate * model.service_s for model in demand.models if model.service_s > promise.slo_s)
    # Long runs are earlier arrivals, and as many of them end.
    arriving = demand.arriving - min(long, demand.running_long)
    return min(arriving + _draining(demand, capacity, promise), demand.waiting + demand.running - demand.running_long)


def _draining(demand: Demand, capacity: Capacity, promise: Promise) -> float:
    """Return the processes that work needs which the present ones will not have begun when a pod that starts now is ready."""
    start_s = capacity.start_s
    within_s = max(promise.slo_s - start_s, start_s * _WORTH)
    # A job that runs longer still takes one process only.
    work_s = sum((model.waiting + model.arrival_rate * start_s) * min(model.service_s, within_s) for model in demand.models)
    free = max(0, capacity.ready - demand.running_long)
    return max(0.0, work_s - free * start_s - capacity.starting * start_s / 2) / within_s


def _kept(demand: Demand, capacity: Capacity, promise: Promise) -> float:
    """Return how many of the present processes the waiting work needs, even if new ones would come too late for it."""
    work_s = sum(model.waiting * min(model.service_s, promise.slo_s) for model in demand.models)
    return min(work_s / promise.slo_s, demand.waiting, max(0, capacity.present - demand.running_long))


def _for_deadlines(demand: Demand) -> float:
    """Return the processes that keep the deadlines."""
    return sum(min(work.work_s / max(work.left_s * UTILIZATION, _CHUNK_S), work.work_s / _CHUNK_S) for work in demand.deadlines)


def _reasons(demand: Demand, capacity: Capacity, promise: Promise) -> Iterator[str]:
    if demand.running:
        yield f"{demand.running} deliveries run, {demand.running_long} of them longer than {promise.slo_s:g} s."
    if demand.arriving:
        yield f"{demand.arrival_rate:.2f} jobs arrive per second and keep {demand.arriving:.2f} processes busy."
    if demand.waiting:
        yield (
            f"{demand.waiting} deliveries wait, with {demand.waiting_work_s:.1f} s of work. "
            f"To start them in time takes {_catching_up(demand, capacity, promise):.1f} processes."
        )
    if demand.deadlines:
        yield f"Work with deadlines needs {_for_deadlines(demand):.2f} processes."
    if not demand.active:
        warm = demand.idle_s < promise.keep_warm_s
        yield (
            f"The last job came {demand.idle_s:.0f} s ago, and a process is kept for {promise.keep_warm_s:g} s."
            if warm
            else "Nothing runs or waits."
        )
