"""Reports of usage: which days and groups a request asks for, and their sums."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from app.core.errors import InvalidInput
from app.core.metering import DAY_S, Amounts, Series

MAX_ITEMS: Final = 20_000
_EPOCH: Final = date(1970, 1, 1)
_DEFAULT_DAYS: Final = 30


class Grouping(StrEnum):
    """What a report distinguishes."""

    OWNER = "owner"
    MODEL = "model"
    POOL = "pool"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class ReportPeriod:
    """UTC days of a report, with both ends.

    Attributes:
        start: First day, or an age of it (default: 30 days with the last one).
        end: Last day, or an age of it (default: today).
    """

    start: date | timedelta | None = None
    end: date | timedelta | None = None

    def resolve(self, now: float, kept_days: int) -> range:
        """Return the days since 1970.

        Raises:
            InvalidInput: The period is empty, or its usage is not kept any more.
        """
        today = int(now // DAY_S)
        end = today if self.end is None else min(_number(self.end, today), today)
        start = max(end - _DEFAULT_DAYS + 1, today - kept_days) if self.start is None else _number(self.start, today)
        if start > end:
            raise InvalidInput("The period is empty: `from` must not be after `to` or today.", pointer="/from")
        if start < today - kept_days:
            raise InvalidInput(f"Usage is kept for {kept_days} days (CELERIAC_USAGE_DAYS). Use a later `from`.", pointer="/from")
        return range(start, end + 1)


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """Which usage to report; None for all. Only the pool restricts the time of processes, which belong to no model and owner."""

    owner: str | None = None
    model: str | None = None
    pool: str | None = None

    def includes(self, series: Series) -> bool:
        """Return whether the groups include a series."""
        return self.owner in (None, series.owner) and self.model in (None, series.model)

    def includes_pool(self, series: Series) -> bool:
        """Return whether a series belongs to the pool."""
        return self.pool in (None, series.pool)


@dataclass(frozen=True, slots=True)
class Group:
    """What series have in common; None for what the report does not distinguish."""

    owner: str | None = None
    model: str | None = None
    pool: str | None = None
    day: int | None = None


@dataclass(slots=True)
class PoolTime:
    """Time and cost of the processes of a pool: of all that exist, and of their calls."""

    reserved: Amounts = field(default_factory=Amounts)
    used: Amounts = field(default_factory=Amounts)

    @property
    def idle_s(self) -> float:
        """Seconds for which processes had no call."""
        return max(0.0, self.reserved.run_s - self.used.run_s)

    @property
    def idle_cost(self) -> float:
        """Cost of the processes that had no call."""
        return max(0.0, self.reserved.cost - self.used.cost)


@dataclass(slots=True)
class Report:
    """Sums of usage.

    Attributes:
        days: Its days since 1970.
        group_by: What it distinguishes.
        items: Amounts of each group.
        pools: Time of each pool, by day if the report distinguishes days.
    """

    days: range
    group_by: frozenset[Grouping]
    items: dict[Group, Amounts] = field(default_factory=dict)
    pools: dict[Group, PoolTime] = field(default_factory=dict)

    def add(self, day: int, used: Iterable[tuple[Series, Amounts]], visible: Iterable[bool]) -> None:
        """Add a day. `visible` says of each series whether the groups include it.

        Raises:
            InvalidInput: There are too many groups.
        """
        day_or_all = day if Grouping.DAY in self.group_by else None
        for (series, amounts), shown in zip(used, visible, strict=True):
            time = self.pools.setdefault(Group(pool=series.pool, day=day_or_all), PoolTime())
            (time.reserved if series.reserved else time.used).add(amounts)
            if shown and not series.reserved:
                group = Group(
                    series.owner if Grouping.OWNER in self.group_by else None,
                    series.model if Grouping.MODEL in self.group_by else None,
                    series.pool if Grouping.POOL in self.group_by else None,
                    day_or_all,
                )
                self.items.setdefault(group, Amounts()).add(amounts)
        if len(self.items) > MAX_ITEMS:
            raise InvalidInput(f"The report has more than {MAX_ITEMS} groups. Group by less, or use a shorter period.", pointer="/group_by")


def day_text(day: int) -> str:
    """Return a day since 1970 as `2026-02-28`."""
    return (_EPOCH + timedelta(days=day)).isoformat()


def _number(day_or_age: date | timedelta, today: int) -> int:
    return today + day_or_age.days if isinstance(day_or_age, timedelta) else (day_or_age - _EPOCH).days
