"""The figures of finished work: written once a second for what this process predicts or waits for, and read for charts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio
from redis.exceptions import RedisError

from app import metrics
from app.core import callers
from app.core.errors import InvalidInput, KeyRestricted
from app.core.periods import Period
from app.core.stats import Chunks, Collector, Figures, Series
from app.loops import Loop
from app.store import stats
from app.store.stats import SeriesIndex

_TURN_S: Final = 1.0
_MAX_POINTS: Final = 20_000
"""Points of one response, of all its groups together."""
_MAX_READ: Final = 100_000
"""Steps of all series together that one request reads."""


class StatsRecorder:
    """Writes what this process has counted."""

    def __init__(self, client: redis.asyncio.Redis, collector: Collector, index: SeriesIndex, loop: Loop) -> None:
        self._client = client
        self._collector = collector
        self._index = index
        self._loop = loop

    async def run(self) -> None:
        """Write until the task is cancelled, and then what is left."""
        await self._loop.run_and_flush(self.flush, _TURN_S)

    async def flush(self) -> None:
        """Write what was counted since the last time. If Redis does not answer it is dropped: written twice, it would be counted twice."""
        counted = self._collector.take()
        jobs = sum(figures.submitted for figures in counted.values())
        named: dict[str, Figures] = {}
        for series, figures in counted.items():
            if name := await self._index.name(series, figures.submitted):
                named[name] = figures
            else:
                jobs -= figures.submitted
        try:
            await stats.record(self._client, named)
        except (RedisError, OSError):
            metrics.STATS_LEFT_OUT.inc(jobs)
            raise


@dataclass(frozen=True, slots=True)
class Group:
    """Figures of series that belong together. `app.data.figures.columns` names them.

    Attributes:
        pool: Their pool, or None if it is not distinguished; so are model and version.
        total: Figures of the whole period.
        points: Figures of each step.
    """

    pool: str | None
    model: str | None
    version: str | None
    total: list[float]
    points: list[list[float]]


@dataclass(frozen=True, slots=True)
class History:
    """Figures of a period.

    Attributes:
        start: Begin of the first step, seconds since 1970.
        step_s: Length of a step.
        steps: How many there are.
        groups: The groups, in the order of their names.
    """

    start: int
    step_s: int
    steps: int
    groups: list[Group]


class StatsService:
    """Reads figures. They name no owner. A caller gets those of the models and pools that its key may use."""

    def __init__(self, client: redis.asyncio.Redis, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock

    async def history(self, period: Period) -> History:
        """Return the figures of a period.

        Raises:
            InvalidInput: The period or the step is not possible.
            KeyRestricted: The caller may not use the model or the pool that it names.
        """
        now = self._clock()
        start, end, step_s = period.resolve(now)
        if period.model is not None:
            callers.check_model(period.model)
        if period.pool is not None:
            callers.check_pool(period.pool)
        wanted = [series for series in await stats.series(self._client) if period.includes(series) and _allowed(series)]
        groups = sorted({series.group(period.group_by) for series in wanted}, key=lambda group: [part or "" for part in group])
        steps = (end - start) // step_s
        if steps * max(1, len(groups)) > _MAX_POINTS:
            raise InvalidInput(
                f"{len(groups) or 1} series with {steps} steps each are more than {_MAX_POINTS} points. Use a larger step or a shorter period.",
                pointer="/step",
            )
        if steps * len(wanted) > _MAX_READ:
            raise InvalidInput(
                f"{len(wanted)} model versions have too many steps of this length. Use a larger step, a shorter period or a filter.",
                pointer="/step",
            )
        chunks = await stats.read(self._client, wanted, start, end, step_s)
        numbers = {group: number for number, group in enumerate(groups)}
        # Many models take tens of milliseconds, for which other requests should not wait.
        totals, points = await asyncio.to_thread(_add, chunks, [numbers[series.group(period.group_by)] for series in wanted], min(now, end))
        return History(start, step_s, steps, [Group(*names, *figures) for names, *figures in zip(groups, totals, points, strict=True)])


def _add(chunks: Chunks, groups: list[int], end: float) -> tuple[list[list[Any]], list[list[Any]]]:
    """Return the figures of each group: in the whole period, and in each step. A step that has not ended is as long as it has lasted."""
    from app.data import figures  # imports numpy, which API processes do without

    lanes = figures.add(chunks, groups)
    starts = range(chunks.start, chunks.start + chunks.steps * chunks.step_s, chunks.step_s)
    seconds = [max(1.0, min(start + chunks.step_s, end) - start) for start in starts]
    return figures.columns(lanes.sum(axis=1), sum(seconds)), figures.columns(lanes, seconds)


def _allowed(series: Series) -> bool:
    try:
        callers.check_model(series.model)
        callers.check_pool(series.pool)
    except KeyRestricted:
        return False
    return True
