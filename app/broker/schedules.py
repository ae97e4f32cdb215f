"""A schedule as celery-redbeat's scheduler handles it."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

from celery.schedules import schedstate
from celery.schedules import schedule as celery_schedule
from redbeat.schedulers import RedBeatSchedulerEntry

from app.core.schedules import Schedule


class Plan(celery_schedule):
    """Answers when a schedule is due, through Celery's interface."""

    def __init__(self, of: Schedule) -> None:
        """Ask `of` when to run; the interval of the base class is not used."""
        super().__init__(run_every=timedelta(seconds=of.every_s or 60))
        self.of = of

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        """Return the time until the first run planned after `last_run_at`."""
        return timedelta(seconds=self.of.after(last_run_at.timestamp()) - time.time())

    def is_due(self, last_run_at: datetime) -> schedstate:
        """Return whether a run is due, and the seconds until the next look."""
        left = self.remaining_estimate(last_run_at).total_seconds()
        return schedstate(left <= 0, max(0.0, left))


class Entry(RedBeatSchedulerEntry):
    """One schedule, as redbeat loads it from Redis."""

    def __init__(self, kwargs: dict[str, Any], schedule: Any = None, **more: Any) -> None:
        """Decode the `Schedule` from the keyword arguments of the entry."""
        self.of = Schedule.from_dict(kwargs)
        super().__init__(schedule=Plan(self.of), kwargs=kwargs, **more)

    @property
    def score(self) -> float:
        """The time of the next run, in seconds since 1970."""
        return self.of.after(self.last_run_at.timestamp())
