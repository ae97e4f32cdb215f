"""The figures of finished work: written once a second for what this process predicts or waits for, and read for charts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import redis.asyncio
from redis.exceptions import RedisError

from app import metrics
from app.core import callers
from app.core.errors import InvalidInput, KeyRestricted
from app.core.periods import Period
from app.core.stats import Collector, Figures, Grouping, Series
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
        try:
            await self._loop.run(self._turn)
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TURN_S):
                    await self.flush()

    async def _turn(self) -> float:
        await self.flush()
        return _TURN_S

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


@dataclass(slots=True)
class Group:
    """Figures of series that belong together.

    Attributes:
        pool: Their pool, or None if it is not distinguished; so are model and version.
        total: Figures of the whole period.
        steps: Figures by the number of the step. A step without any is missing.
    """

    pool: str | None
    model: str | None
    version: str | None
    total: Figures = field(default_factory=Figures)
    steps: dict[int, Figures] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class History:
    """Figures of a period.

    Attributes:
        start: Begin of the first step, seconds since 1970.
        step_s: Length of a step.
        steps: How many there are.
        end: End of the last step, or now if that is earlier.
        groups: The groups, in the order of their names.
    """

    start: int
    step_s: int
    steps: int
    end: float
    groups: list[Group]

    def seconds(self, step: int) -> float:
        """Return how much of a step has passed."""
        start = self.start + step * self.step_s
        return max(1.0, min(start + self.step_s, self.end) - start)


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
        groups: Mapping[tuple[str | None, str | None, str | None], Group] = {
            key: Group(*key)
            for key in sorted({series.group(period.group_by) for series in wanted}, key=lambda key: [part or "" for part in key])
        }
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
        buckets = await stats.read(self._client, wanted, start, end, step_s)
        # Many models take tens of milliseconds, for which other requests should not wait.
        await asyncio.to_thread(_merge, buckets, groups, period.group_by)
        return History(start, step_s, steps, min(now, end), list(groups.values()))


def _merge(
    buckets: Iterable[tuple[Series, int, bytes]], groups: Mapping[tuple[str | None, str | None, str | None], Group], by: Grouping | None
) -> None:
    of: dict[Series, Group] = {}
    for series, step, stored in buckets:
        figures = Figures.decode(stored)
        if figures is not None:
            group = of.get(series) or of.setdefault(series, groups[series.group(by)])
            if (before := group.steps.get(step)) is None:
                group.steps[step] = figures
            else:
                before.merge(figures)
    for group in groups.values():
        for figures in group.steps.values():
            group.total.merge(figures)


def _allowed(series: Series) -> bool:
    try:
        callers.check_model(series.model)
        callers.check_pool(series.pool)
    except KeyRestricted:
        return False
    return True
