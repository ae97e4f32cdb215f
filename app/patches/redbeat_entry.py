"""Schedules in the form in which celery-redbeat reads them from Redis. `app.store.schedules` writes them.

Why:
    redbeat's entries hold a Celery crontab or interval and a task to send. Celeriac's schedules have time zones, one fixed start and
    a rule for missed runs, and beat sends no task: it asks the reconciler to begin a run. The schedule travels as the keyword
    arguments of an entry, so its tools and its recovery of a beat that died still work.

Upstream:
    A schedule class of one's own is redbeat's documented extension point (`celery.schedules.schedule`), but its JSON encoder knows
    only its own classes, and `RedBeatSchedulerEntry.score` computes the time from them. No issue asks for more.

Checked with:
    celery-redbeat 2.4.2, celery 5.7.0

Remove:
    Together with `app.patches.redbeat_scheduler`: a loop of ours under the lock of `app.broker.maintenance` that reads
    `keys.SCHEDULES` needs none of it.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

from celery.schedules import schedstate
from celery.schedules import schedule as celery_schedule
from redbeat.schedulers import RedBeatSchedulerEntry

from app.core.schedules import Schedule


class DueTimes(celery_schedule):
    """When a schedule is due, in the form that Celery expects."""

    def __init__(self, of: Schedule) -> None:
        """Wrap a schedule of ours."""
        super().__init__(run_every=timedelta(seconds=of.every_s or 60))
        self.of = of

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        """Return the time until the next run after `last_run_at`."""
        return timedelta(seconds=self.of.after(last_run_at.timestamp()) - time.time())

    def is_due(self, last_run_at: datetime) -> schedstate:
        """Return whether the schedule is due, and the seconds until it is to be checked again."""
        left = self.remaining_estimate(last_run_at).total_seconds()
        return schedstate(left <= 0, max(0.0, left))


class Entry(RedBeatSchedulerEntry):
    """A schedule as redbeat reads it from Redis."""

    def __init__(self, kwargs: dict[str, Any], schedule: Any = None, **more: Any) -> None:
        """Decode a schedule of ours from the keyword arguments of an entry."""
        self.of = Schedule.from_dict(kwargs)
        super().__init__(schedule=DueTimes(self.of), kwargs=kwargs, **more)

    @property
    def score(self) -> float:
        """The time of the next run, in seconds since 1970."""
        return self.of.after(self.last_run_at.timestamp())
