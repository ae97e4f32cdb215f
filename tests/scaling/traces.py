"""When jobs arrive, and how long each of them runs."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Arrival:
    """A job: when it arrives, and how long it runs, in seconds."""

    at: float
    service_s: float


@dataclass(frozen=True)
class Trace:
    """Arrivals in their order, within `length_s` seconds. The load that is looked at begins and ends at `begin_s` and `end_s`."""

    name: str
    length_s: float
    arrivals: tuple[Arrival, ...]
    begin_s: float = 0.0
    end_s: float = math.inf

    @cached_property
    def service_s(self) -> float:
        """The mean run time."""
        return sum(arrival.service_s for arrival in self.arrivals) / len(self.arrivals)

    @property
    def busy(self) -> float:
        """How many processes the load keeps busy."""
        end = min(self.end_s, self.length_s)
        return sum(arrival.service_s for arrival in self.arrivals if self.begin_s <= arrival.at < end) / (end - self.begin_s)


def step(factor: float = 10.0, rate: float = 1.0, service_s: float = 2.0, seed: int = 1) -> Trace:
    """Return a rate that is `factor` times as high for 20 minutes."""
    begin_s, end_s = 300.0, 1500.0
    trace = _poisson("step", 2100.0, lambda at: rate * (factor if begin_s <= at < end_s else 1.0), service_s, seed)
    return replace(trace, begin_s=begin_s, end_s=end_s)


def burst(jobs: int = 5000, service_s: float = 0.001, seed: int = 1) -> Trace:
    """Return jobs that arrive within a second, again and again every five minutes."""
    return _poisson("burst", 1800.0, lambda at: jobs if at % 300 >= 299 else 0.1, service_s, seed)


def day(peak: float = 40.0, service_s: float = 0.2, seed: int = 1) -> Trace:
    """Return the curve of a day, in six hours."""
    length_s = 6 * 3600.0
    return _poisson("day", length_s, lambda at: peak * (0.02 + 0.98 * math.sin(math.pi * at / length_s) ** 4), service_s, seed)


def recorded(path: Path) -> Trace:
    """Return a recorded trace: a line of JSON for each job, with `at` and `service_s` in seconds."""
    lines = (json.loads(line) for line in path.read_text().splitlines() if line.strip())
    arrivals = sorted((Arrival(float(line["at"]), float(line["service_s"])) for line in lines), key=lambda arrival: arrival.at)
    first = arrivals[0].at
    return Trace(path.stem, arrivals[-1].at - first + 300, tuple(Arrival(item.at - first, item.service_s) for item in arrivals))


def _poisson(name: str, length_s: float, rate: Callable[[float], float], service_s: float, seed: int) -> Trace:
    """Return random arrivals, and run times that vary by a quarter."""
    source = random.Random(seed)

    def arrivals() -> Iterator[Arrival]:
        for second in range(int(length_s)):
            mean = rate(second)
            at = source.expovariate(mean)
            while at < 1:
                yield Arrival(second + at, service_s * source.uniform(0.75, 1.25))
                at += source.expovariate(mean)

    return Trace(name, length_s, tuple(arrivals()))
