"""Reports of what owners used, and what it cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import redis.asyncio

from app.core import callers
from app.core.errors import KeyRestricted
from app.core.metering import Meter, Series
from app.core.usage_reports import Grouping, Report, ReportPeriod, UsageFilter
from app.store import metering

_AT_ONCE: Final = 31
"""Days that are read in one round trip."""


class UsageService:
    """Reads usage. A caller gets that of the owners that it sees, and of the models and pools that its key may use."""

    def __init__(self, client: redis.asyncio.Redis, meter: Meter, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._meter = meter
        self._clock = clock

    async def report(self, period: ReportPeriod, group_by: Iterable[Grouping], wanted: UsageFilter) -> Report:
        """Return the usage of a period. Only a caller that sees all owners gets the time of pools.

        Raises:
            InvalidInput: The period is not possible, or there are too many groups.
            KeyRestricted: The caller may not use the model or the pool that the filter names.
        """
        if wanted.model is not None:
            callers.check_model(wanted.model)
        if wanted.pool is not None:
            callers.check_pool(wanted.pool)
        report = Report(period.resolve(self._clock(), self._meter.days), frozenset(group_by))
        for first in range(0, len(report.days), _AT_ONCE):
            days = report.days[first : first + _AT_ONCE]
            stored = await metering.read(self._client, days)
            # Many series take tens of milliseconds, for which other requests should not wait.
            await asyncio.to_thread(_add, report, wanted, days, stored)
        if callers.only_owner() is not None:
            report.pools.clear()
        return report


def _add(report: Report, wanted: UsageFilter, days: Iterable[int], stored: Iterable[Any]) -> None:
    for day, of_day in zip(days, stored, strict=True):
        used = [(series, amounts) for series, amounts in metering.decode(of_day) if wanted.includes_pool(series) and _may_use_pool(series)]
        report.add(day, used, (wanted.includes(series) and _visible(series) for series, _ in used))


def _visible(series: Series) -> bool:
    try:
        callers.check_model(series.model)
    except KeyRestricted:
        return False
    return callers.sees(series.owner)


def _may_use_pool(series: Series) -> bool:
    try:
        callers.check_pool(series.pool)
    except KeyRestricted:
        return False
    return True
