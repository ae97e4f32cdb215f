"""A pool in virtual time: jobs arrive, processes take them in their order, and a rule adds and removes pods."""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from app.core.scaling import Capacity, Demand, ModelDemand, Promise, arrival_rate, wanted
from tests.scaling.autoscaler import SYNC_S, Autoscaler
from tests.scaling.traces import Arrival, Trace

Rule = Callable[[Demand, Capacity], float]
"""Returns the processes that a pool should have."""
_SAMPLE_S: Final = 5.0


def by_waiting_time(slo_s: float) -> Rule:
    """Return the rule of `app.core.scaling`."""
    return lambda demand, capacity: wanted(demand, capacity, Promise(slo_s)).processes


def by_length(target: float = 1.0) -> Rule:
    """Return the rule of the chart: a process for each delivery that waits or runs, or for `target` of them."""
    return lambda demand, _: max(demand.running, (demand.waiting + demand.running) / target)


@dataclass
class Pod:
    """A pod: when it was created and takes jobs, how many of its processes are busy, and whether it terminates."""

    begun: float
    ready: float
    busy: int = 0
    leaving: bool = False


@dataclass
class Outcome:
    """What a simulation showed.

    Attributes:
        waits: Arrival and wait of each job.
        pods: Time and number of pods, whenever it was sampled.
        changes: Time of each change, and how many pods it added.
        pod_seconds: Seconds of all pods together.
    """

    waits: list[tuple[float, float]] = field(default_factory=list)
    pods: list[tuple[float, int]] = field(default_factory=list)
    changes: list[tuple[float, int]] = field(default_factory=list)
    pod_seconds: float = 0.0

    def p95(self, start: float = 0.0, end: float = float("inf")) -> float:
        """Return the 95th percentile of the waits of jobs that arrived in a time."""
        waits = sorted(wait for at, wait in self.waits if start <= at < end)
        return waits[int(0.95 * len(waits))] if waits else 0.0

    def most_pods(self, start: float = 0.0, end: float = float("inf")) -> int:
        """Return the largest number of pods in a time."""
        return max(count for at, count in self.pods if start <= at < end)

    def flaps(self, start: float = 0.0, end: float = float("inf")) -> int:
        """Return how often pods were added after some had been removed, or removed after some had been added, in a time."""
        signs = [change > 0 for at, change in self.changes if start <= at < end]
        return sum(first != second for first, second in pairwise(signs))


class Simulation:
    """One run of a trace."""

    def __init__(self, trace: Trace, rule: Rule, autoscaler: Autoscaler, slo_s: float = 5.0, start_s: float = 30.0) -> None:
        self._trace = trace
        self._rule = rule
        self._autoscaler = autoscaler
        self._slo_s = slo_s
        self._start_s = start_s
        self._ready = [Pod(0.0, 0.0) for _ in range(autoscaler.least)]
        self._starting: deque[Pod] = deque()
        self._leaving = 0
        self._waiting: deque[Arrival] = deque()
        self._running: list[tuple[float, int, Pod]] = []
        self._taken = 0
        self._minutes: Counter[int] = Counter()
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Run the whole trace."""
        arrivals = iter(self._trace.arrivals)
        upcoming = next(arrivals, None)
        sync, sample, now = SYNC_S, 0.0, 0.0
        while now < self._trace.length_s:
            started = self._starting[0].ready if self._starting else math.inf
            ended = self._running[0][0] if self._running else math.inf
            now = min(upcoming.at if upcoming else math.inf, ended, started, sync, sample)
            if started <= now:
                self._ready.append(self._starting.popleft())
            if ended <= now:
                self._end(heapq.heappop(self._running)[2], now)
            if upcoming and upcoming.at <= now:
                self._minutes[int(now // 60)] += 1
                self._waiting.append(upcoming)
                upcoming = next(arrivals, None)
            self._take(now)
            if now >= sync:
                self._scale(now)
                sync += SYNC_S
            if now >= sample:
                self.outcome.pods.append((now, len(self._ready) + len(self._starting) + self._leaving))
                sample += _SAMPLE_S
        self.outcome.pod_seconds += sum(now - pod.begun for pod in (*self._ready, *self._starting))
        return self.outcome

    def _take(self, now: float) -> None:
        """Let free processes take jobs, those of the oldest pods first."""
        while self._waiting:
            pod = next((pod for pod in self._ready if pod.busy < self._autoscaler.processes), None)
            if pod is None:
                return
            job = self._waiting.popleft()
            pod.busy += 1
            self._taken += 1
            self.outcome.waits.append((job.at, now - job.at))
            heapq.heappush(self._running, (now + job.service_s, self._taken, pod))

    def _end(self, pod: Pod, now: float) -> None:
        pod.busy -= 1
        if pod.leaving and not pod.busy:
            self._leaving -= 1
            self.outcome.pod_seconds += now - pod.begun

    def _scale(self, now: float) -> None:
        present = len(self._ready) + len(self._starting)
        wants = self._rule(self._demand(now), self._capacity())
        change = self._autoscaler.pods(now, wants, present) - present
        if change:
            self.outcome.changes.append((now, change))
        self._starting += [Pod(now, now + self._start_s) for _ in range(change)]
        for _ in range(-change):
            self._leave(now)

    def _leave(self, now: float) -> None:
        """Remove a pod: one that starts, or else the least busy one, which completes what it runs."""
        if self._starting:
            pod = self._starting.pop()
        else:
            pod = min(reversed(self._ready), key=lambda pod: pod.busy)
            self._ready.remove(pod)
        if pod.busy:
            pod.leaving = True
            self._leaving += 1
        else:
            self.outcome.pod_seconds += now - pod.begun

    def _demand(self, now: float) -> Demand:
        """Return what the API would read."""
        minute, running, waiting = int(now // 60), len(self._running), len(self._waiting)
        rate = arrival_rate(self._minutes[minute - 1], self._minutes[minute], now % 60)
        service_s = self._trace.service_s
        return Demand(
            (ModelDemand(rate, service_s, waiting),),
            waiting,
            running,
            running if service_s > self._slo_s else 0,
            now - self._waiting[0].at if self._waiting else 0.0,
        )

    def _capacity(self) -> Capacity:
        each = self._autoscaler.processes
        return Capacity(len(self._ready) * each, len(self._starting) * each, self._start_s, each)
