"""Which schedules are due, and the note that they are: celery-redbeat's loop and lock, with another way to send."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import redis
from redbeat.schedulers import LUA_EXTEND_TO_SCRIPT, RedBeatScheduler
from redis.exceptions import WatchError

from app import metrics
from app.broker.celery import app
from app.broker.schedules import Entry as Scheduled
from app.core.schedules import PARENT, Missed
from app.loops import Loop, unavailable
from app.settings import settings
from app.store import keys
from app.store.schedules import add_note, meta

log = logging.getLogger(__name__)
_LOOK_EVERY_S: Final = 1.0
_LOCK_S: Final = 10
_BROKEN_S: Final = 300.0
"""A schedule that cannot be read or run is looked at again after this time."""


class Scheduler(RedBeatScheduler):  # type: ignore[misc]
    """`client` decodes what it reads."""

    Entry = Scheduled
    lock: Any = None
    _maybe_due_kwargs: Final[dict[str, Any]] = {}
    """Redbeat's would connect to the broker, which nothing is sent to."""

    def __init__(self, client: redis.Redis, loop: Loop | None = None) -> None:
        app.redbeat_redis = client
        self.client = client
        self.loop = loop or Loop("beat")
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

    @property
    def schedule(self) -> dict[str, Scheduled]:
        """The schedules that are due, or will be before the next tick. Unlike redbeat's, one that cannot be read costs no other its run."""
        now = time.time()
        # As bytes: a member may be no UTF-8, which a client that decodes would stumble over.
        keys_due: Any = self.client.execute_command(  # type: ignore[no-untyped-call]
            "ZRANGEBYSCORE", keys.SCHEDULES, 0, now + self.max_interval, NEVER_DECODE=[]
        )
        found: dict[str, Scheduled] = {}
        for key in keys_due:
            with self._alone(key):
                name = key.decode()
                if self.client.hget(name, "definition") is None:
                    log.warning("Removed %r from the schedules: it has no definition.", name)
                    self.client.zrem(keys.SCHEDULES, name)
                    continue
                entry = self.Entry.from_key(name, app=app)
                found[entry.name] = entry
        return found

    def maybe_due(self, entry: Scheduled, **_: Any) -> float | None:
        """Run the entry if it is due. Returns the seconds until it is to be looked at again."""
        with self._alone(entry.key.encode()):
            due, next_s = entry.is_due()
            if due:
                self.apply_async(entry)
            return float(next_s)
        return None

    @contextmanager
    def _alone(self, key: bytes) -> Iterator[None]:
        """What fails here is this schedule's fault, which is then looked at again after a while, unless Redis is unavailable."""
        try:
            yield
        except Exception as error:
            if unavailable(error):
                raise
            self.loop.report(error, f"the schedule {key.decode(errors='backslashreplace')[:100]}")
            self.client.zadd(keys.SCHEDULES, {key: time.time() + _BROKEN_S}, xx=True)

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
