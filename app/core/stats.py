"""Figures of finished work, by minute and by day: what is counted, and how a bucket of them is stored. `app/data/figures.py` adds them.

A series is a model version in a pool. Redis keeps its figures in strings of buckets, which `app/store/stats.lua` writes.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

from app.core.jobs import State
from app.core.models import Manifest

BOUNDS_S: Final = tuple(0.0005 * 2**power for power in range(21))
"""Upper bounds of the buckets of a histogram, 0.5 ms to 524 s. One more bucket is for longer times."""
DAY_S: Final = 24 * 3600
MINUTES_S: Final = DAY_S
"""How long figures by the minute can be read, in seconds."""
KEPT_DAYS: Final = 400
"""How long figures by the day can be read."""
UNIT_S: Final = 0.0001
"""Run times are summed in this unit."""
_TIMES: Final = len(BOUNDS_S) + 1
_ENDED: Final = {State.SUCCEEDED: 1, State.FAILED: 2, State.CANCELLED: 3, State.EXPIRED: 4}
_ROWS, RUN, WAITS, RUNS = 5, 6, 7, 7 + _TIMES
"""Lanes of the rows and of the run time, and the first lanes of the histograms of waits and of runs."""
_LAYOUT: Final = struct.Struct(f">5I2q{2 * _TIMES}I")
BUCKET: Final = _LAYOUT.size
"""Bytes of a bucket: submitted jobs, those that ended by state, rows, run time, and the histograms of waits and runs."""
LANES: Final = 7 + 2 * _TIMES


class Grouping(StrEnum):
    """What a request asks separate figures of."""

    MODEL = "model"
    VERSION = "version"
    POOL = "pool"


@dataclass(frozen=True, slots=True)
class Chunks:
    """What Redis holds of the figures of series in a period. A chunk is a string of buckets.

    Attributes:
        start: Begin of the first step, seconds since 1970.
        steps: How many steps there are.
        step_s: Seconds of a step.
        bucket_s: Seconds of a bucket.
        buckets: How many buckets a chunk has. Those at its end may be missing.
        first: Number of the first chunk of each series.
        stored: The first chunk of every series, the second of every series, and so on.
    """

    start: int
    steps: int
    step_s: int
    bucket_s: int
    buckets: int
    first: int
    stored: list[bytes]


@dataclass(frozen=True, slots=True)
class Series:
    """A model version in a pool."""

    pool: str
    model: str
    version: str

    def __str__(self) -> str:
        """Return the name of the series in keys and records."""
        return f"{self.pool}/{self.model}/{self.version}"

    @classmethod
    def of(cls, manifest: Manifest) -> Series:
        """Return the series of a model version."""
        return cls(manifest.pool, manifest.name, manifest.version)

    @classmethod
    def parse(cls, text: str) -> Series:
        """Return the series of a name. Raises ValueError."""
        pool, model, version = text.split("/")
        return cls(pool, model, version)

    def group(self, by: Grouping | None) -> tuple[str | None, str | None, str | None]:
        """Return pool, model and version of the group that the series belongs to; None for what the group does not distinguish."""
        return (
            self.pool if by is Grouping.POOL else None,
            self.model if by in (Grouping.MODEL, Grouping.VERSION) else None,
            self.version if by is Grouping.VERSION else None,
        )


@dataclass(slots=True)
class Figures:
    """Figures of a period."""

    lanes: Sequence[int] = (0,) * LANES

    @classmethod
    def unpack(cls, stored: bytes) -> Self:
        """Decode a bucket. Its end may be missing."""
        return cls(_LAYOUT.unpack(stored.ljust(BUCKET, b"\0")))

    @property
    def submitted(self) -> int:
        """Jobs that were accepted."""
        return self.lanes[0]

    def ended(self, state: State) -> int:
        """Jobs that reached a final state."""
        return self.lanes[_ENDED[state]]

    @property
    def rows(self) -> int:
        """Rows of jobs that succeeded."""
        return self.lanes[_ROWS]

    @property
    def run_s(self) -> float:
        """Seconds that processes spent on jobs. Jobs of one delivery share them."""
        return self.lanes[RUN] * UNIT_S

    @property
    def ran(self) -> int:
        """Jobs that ran."""
        return sum(self.lanes[WAITS:RUNS])

    @property
    def waits(self) -> Sequence[int]:
        """The histogram of waits."""
        return self.lanes[WAITS:RUNS]

    @property
    def runs(self) -> Sequence[int]:
        """The histogram of runs."""
        return self.lanes[RUNS:]


def quantile(counts: Sequence[int], share: float) -> float | None:
    """Return a quantile of a histogram in seconds, interpolated within its bucket; None if the histogram is empty.

    Args:
        counts: How many times are in each bucket of `BOUNDS_S`.
        share: Between 0 and 1.
    """
    rank, below = share * sum(counts), 0
    for at, count in enumerate(counts):
        if count and below + count >= rank:
            least, most = BOUNDS_S[at - 1] if at else 0.0, BOUNDS_S[min(at, len(BOUNDS_S) - 1)]
            return float(least + (most - least) * (rank - below) / count)
        below += count
    return None


@dataclass(slots=True)
class Collector:
    """Figures of one process that are not in the store yet, by series. Their number is bounded by that of the versions the process serves."""

    _lanes: dict[Series, list[int]] = field(default_factory=dict)

    def count(
        self, manifest: Manifest, ended: Mapping[State, int], *, rows: int = 0, wait_s: float = 0.0, run_s: float | None = None
    ) -> None:
        """Count jobs that were accepted and have ended, after one call of the model for all of them.

        Args:
            manifest: The model version.
            ended: How many of them ended in which state.
            rows: Rows of those that succeeded.
            wait_s: Seconds that each of them waited.
            run_s: Seconds of the call, or None if they did not run.

        Example:
            collector.count(manifest, {State.SUCCEEDED: 2}, rows=2, run_s=0.004)
        """
        series, jobs = Series.of(manifest), sum(ended.values())
        lanes = self._lanes.get(series)
        if lanes is None:
            lanes = self._lanes[series] = [0] * LANES
        lanes[0] += jobs
        for state, number in ended.items():
            lanes[_ENDED[state]] += number
        lanes[_ROWS] += rows
        if run_s is not None:
            lanes[RUN] += round(run_s / UNIT_S)
            lanes[WAITS + bisect_left(BOUNDS_S, wait_s)] += jobs
            lanes[RUNS + bisect_left(BOUNDS_S, run_s)] += jobs

    def take(self) -> dict[Series, Figures]:
        """Return what was counted since the call before."""
        taken, self._lanes = self._lanes, {}
        return {series: Figures(lanes) for series, lanes in taken.items()}
