"""Which figures a request asks for: a period, its steps, and a filter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from app.core.errors import InvalidInput
from app.core.stats import DAY_S, KEPT_DAYS, MINUTES_S, Grouping, Series

STEPS: Final = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "6h": 21600, "1d": DAY_S}
"""Lengths of a step in seconds."""
_SLACK_S: Final = 120
"""A client that asks for the last day sends the request a little later."""


@dataclass(frozen=True, slots=True)
class Period:
    """A period and a filter. Times are seconds since 1970.

    Attributes:
        start: Begin, or None for the default: an hour before the end, or 30 days with steps of a day.
        end: End, or None for now.
        step: A name in `STEPS`, or None for the default, which depends on the length.
        model: Only this model.
        version: Only this version of it.
        pool: Only this pool.
        group_by: What is distinguished, or None for all together.
    """

    start: float | None = None
    end: float | None = None
    step: str | None = None
    model: str | None = None
    version: str | None = None
    pool: str | None = None
    group_by: Grouping | None = None

    def resolve(self, now: float) -> tuple[int, int, int]:
        """Return begin, end and length of the steps. The first and the last step contain the ends of the period.

        Raises:
            InvalidInput: The period is empty, or its figures are not kept; or the filter has a version and no model.
        """
        if self.version is not None and self.model is None:
            raise InvalidInput(f"Version {self.version!r} needs its model. Add it, for example model=wine&version=3.", pointer="/version")
        end = now if self.end is None else min(self.end, now)
        start = end - (30 * DAY_S if self.step == "1d" else 3600) if self.start is None else self.start
        if start >= end:
            raise InvalidInput("The period is empty: `from` must be before `to` and before now.", pointer="/from")
        by_day = self.step == "1d" or (self.step is None and start < now - MINUTES_S - _SLACK_S)
        kept_s = KEPT_DAYS * DAY_S if by_day else MINUTES_S
        if start < now - kept_s - _SLACK_S:
            kept, advice = (f"{KEPT_DAYS} days", "") if by_day else ("24 hours", ", or the step 1d")
            raise InvalidInput(f"Figures of these steps are kept for {kept}. Use a later `from`{advice}.", pointer="/from")
        step_s = STEPS[self.step] if self.step else DAY_S if by_day else 60 if end - start <= 7200 else 1800
        return math.floor(start / step_s) * step_s, math.ceil(end / step_s) * step_s, step_s

    def includes(self, series: Series) -> bool:
        """Return whether the filter accepts a series."""
        return self.model in (None, series.model) and self.version in (None, series.version) and self.pool in (None, series.pool)
