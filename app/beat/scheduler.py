"""Which schedules are due, and the note that they are: celery-redbeat's loop and lock, with another way to send."""

from __future__ import annotations

import logging
import time
from typing import Any, Final

import redis
from redbeat.schedulers import LUA_EXTEND_TO_SCRIPT, RedBeatScheduler
from redis.exceptions import WatchError

from app import metrics
from app.broker.celery import app
from app.broker.schedules import PARENT, add_note, meta
from app.broker.schedules import Entry as Scheduled
from app.core.schedules import Missed
from app.settings import settings
from app.store import keys

log = logging.getLogger(__name__)
_LOOK_EVERY_S: Final = 1.0
_LOCK_S: Final = 10


class Scheduler(RedBeatScheduler):  # type: ignore[misc]
    """`client` decodes what it reads."""

    Entry = Scheduled
    lock: Any = None
    _maybe_due_kwargs: Final[dict[str, Any]] = {}
    """Redbeat's would connect to the broker, which nothing is sent to."""

    def __init__(self, client: redis.Redis) -> None:
        app.redbeat_redis = client
        self.client = client
        super().__init__(app, lazy=True, max_interval=_LOOK_EVERY_S, lock_timeout=_LOCK_S)

    def leads(self) -> bool:
        """Is this the beat that fires? Takes the lead where nobody has it."""
        if self.lock is None:
            lock = self.client.lock(self.lock_key, timeout=self.lock_timeout)
            # As redbeat does: the lock's time is set anew, not made longer and longer.
            lock.lua_extend = self.client.register_script(LUA_EXTEND_TO_SCRIPT)
            if not lock.acquire(blocking=False):
                return False
            log.info("this beat fires")
            self.lock = lock
        return True

    def apply_async(self, entry: Scheduled, **_: Any) -> None:
        """The planned run is due, or was missed. One step in Redis, with the time of the next; nothing where the schedule changed meanwhile."""
        now, one = time.time(), settings()
        planned = entry.of.after(entry.last_run_at.timestamp())
        missed = now - planned > one.schedule_grace_s and entry.of.missed is Missed.SKIP
        # Of those that were missed too, one that is in time still runs.
        last = now - one.schedule_grace_s if missed else now
        pipe: Any
        with self.client.pipeline() as pipe:
            pipe.watch(entry.key)
            if not pipe.exists(entry.key):
                return
            pipe.multi()
            if missed:
                add_note(pipe, entry.name, {"planned": planned, "missed": True}, one.schedule_keep)
            else:
                pipe.zadd(keys.FOLLOWUPS, {f"{PARENT}:{entry.name}@{planned}": 0})
                pipe.publish(keys.event("followups"), "due")
            pipe.hset(entry.key, "meta", meta(last))
            pipe.zadd(keys.SCHEDULES, {entry.key: entry.of.after(last)})
            try:
                pipe.execute()
            except WatchError:
                return
        log.info("%s, planned for %s, %s", entry.name, time.strftime("%FT%TZ", time.gmtime(planned)), "was missed" if missed else "is due")
        if missed:
            metrics.SCHEDULED.labels("missed").inc()
