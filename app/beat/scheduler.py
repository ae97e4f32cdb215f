"""Start due schedules, with the loop and the lock of celery-redbeat."""

from __future__ import annotations

import logging
import time

import redis

from app import metrics
from app.broker.celery import app
from app.core.schedules import Missed
from app.loops import Loop
from app.patches.redbeat_entry import Entry
from app.patches.redbeat_scheduler import LeaderScheduler
from app.settings import Settings
from app.store import schedules

log = logging.getLogger(__name__)


class Scheduler(LeaderScheduler):
    """Hands the planned runs of schedules to the reconciler."""

    def __init__(self, client: redis.Redis, settings: Settings, loop: Loop | None = None) -> None:
        super().__init__(app, client, loop or Loop("beat"))
        self._settings = settings

    def start_run(self, entry: Entry) -> None:
        """Start a planned run, or note that it was missed, and set the time of the next one, in one Redis transaction.

        Does nothing if the schedule changed meanwhile.
        """
        now = time.time()
        planned = entry.of.after(entry.last_run_at.timestamp())
        missed = now - planned > self._settings.schedule_grace_s and entry.of.missed is Missed.SKIP
        # After missed runs, a run that is still in time starts.
        last = now - self._settings.schedule_grace_s if missed else now
        if not schedules.start_run(self.client, entry.name, entry.of, planned, last, missed=missed, keep=self._settings.schedule_keep):
            return
        log.info("%s, planned for %s, %s", entry.name, time.strftime("%FT%TZ", time.gmtime(planned)), "was missed" if missed else "is due")
        if missed:
            metrics.SCHEDULED.labels("missed").inc()
