"""Metering: what the work of each owner took on a UTC day, by model and pool, and what it cost.

A price is that of one process for an hour, in any currency. A call costs the time for which it occupies a process, and the jobs of the
call share it in proportion to their rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from app.core.models import Manifest

HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S
OTHER: Final = "(other)"
"""In place of the model and the owner of what a day has no more series for. Neither can have this name."""


@dataclass(frozen=True, slots=True)
class Meter:
    """How usage is measured and kept.

    Attributes:
        days: Days that usage is kept for. With 0 none is.
        max_series: Most series of one day.
        prices: Price of one process for an hour, by pool.
    """

    days: int
    max_series: int
    prices: Mapping[str, float]

    def cost(self, pool: str, run_s: float, share: float = 1.0) -> float | None:
        """Return the cost of a share of a call, or None if its pool has no price."""
        price = self.prices.get(pool)
        return None if price is None else run_s * share * price / HOUR_S


@dataclass(frozen=True, slots=True)
class Series:
    """What one number of a day belongs to. Without a model and an owner, it is the time that the processes of the pool existed."""

    pool: str
    model: str = ""
    owner: str = ""

    def __str__(self) -> str:
        """Return the name in the store."""
        return f"{self.pool}/{self.model}/{self.owner}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the series of a name. Only the owner may contain a slash. Raises ValueError."""
        pool, model, owner = text.split("/", 2)
        return cls(pool, model, owner)

    @property
    def reserved(self) -> bool:
        """Whether this is the time that the processes of the pool existed."""
        return not self.model


@dataclass(slots=True)
class Amounts:
    """What a series has used: jobs that ended, their rows, seconds of processes, and their cost."""

    jobs: int = 0
    rows: int = 0
    run_s: float = 0.0
    cost: float = 0.0

    def add(self, other: Amounts) -> None:
        """Add other amounts."""
        self.jobs += other.jobs
        self.rows += other.rows
        self.run_s += other.run_s
        self.cost += other.cost


@dataclass(slots=True)
class UsageCollector:
    """What the synchronous predictions of one process took, until it is written. It is bounded by the owners and models of a second."""

    _amounts: dict[Series, Amounts] = field(default_factory=dict)

    def count(self, manifest: Manifest, rows: Iterable[tuple[str, int]], run_s: float) -> None:
        """Divide the time of one call among the owners of its requests.

        Args:
            manifest: The model version.
            rows: Owner and rows of each request.
            run_s: Seconds of the call.
        """
        used: dict[str, Amounts] = {}
        for owner, count in rows:
            amounts = used.get(owner)
            if amounts is None:
                amounts = used[owner] = Amounts()
            amounts.jobs += 1
            amounts.rows += max(1, count)
        every = sum(amounts.rows for amounts in used.values())
        for owner, amounts in used.items():
            amounts.run_s = run_s * amounts.rows / every
            self._amounts.setdefault(Series(manifest.pool, manifest.name, owner), Amounts()).add(amounts)

    def take(self) -> dict[Series, Amounts]:
        """Return what was counted since the call before."""
        taken, self._amounts = self._amounts, {}
        return taken
