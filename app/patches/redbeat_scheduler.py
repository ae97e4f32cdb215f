"""celery-redbeat's loop and lock, for schedules that another process starts.

Why:
    redbeat's scheduler connects to the broker before it looks for what is due, stops all schedules if one entry cannot be decoded,
    and holds the lock only after it has waited for it, so several beats cannot wait as standbys and report their state. An instance of
    redbeat that lost its lock also raises for ever.

Upstream:
    https://github.com/sibson/redbeat/issues/291 reports entries that are dropped when they cannot be loaded.
    https://github.com/sibson/redbeat/issues/230 reports a lock that is lost and never taken again. `_maybe_due_kwargs` is private,
    and no setting keeps redbeat from connecting to the broker.

Checked with:
    celery-redbeat 2.4.2, celery 5.7.0, redis 8.1.0

Remove:
    Together with `app.patches.redbeat_entry`: a loop of ours under the lock of `app.broker.maintenance` that reads
    `keys.SCHEDULES` needs none of it.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import redis
from celery import Celery
from redbeat.schedulers import LUA_EXTEND_TO_SCRIPT, RedBeatScheduler

from app.loops import Loop, unavailable
from app.patches.redbeat_entry import Entry as ScheduleEntry
from app.store import keys

log = logging.getLogger(__name__)
_LOOK_EVERY_S: Final = 1.0
_LOCK_S: Final = 10
_BROKEN_S: Final = 300.0
"""A schedule that cannot be read or run is looked at again after this time."""


class LeaderScheduler(RedBeatScheduler, ABC):
    """A scheduler of which any number may run. One of them leads, and a schedule that is broken costs no other its run."""

    Entry = ScheduleEntry
    lock: Any = None
    _maybe_due_kwargs: Final[dict[str, Any]] = {}
    """redbeat's would connect to the broker, which nothing is sent to."""

    def __init__(self, app: Celery, client: redis.Redis, loop: Loop) -> None:
        """Make a scheduler that does not lead yet.

        Args:
            app: The Celery application. It keeps `client` for redbeat's entries.
            client: A client that decodes what it reads.
            loop: The background loop that a broken schedule is reported to.
        """
        app.redbeat_redis = client
        self.client = client
        self.loop = loop
        super().__init__(app, lazy=True, max_interval=_LOOK_EVERY_S, lock_timeout=_LOCK_S)

    @abstractmethod
    def start_run(self, entry: ScheduleEntry) -> None:
        """Start the run of an entry that is due."""

    def leads(self) -> bool:
        """Return whether this is the beat that fires. Takes the lead if no other beat has it."""
        if self.lock is None:
            lock = self.client.lock(self.lock_key, timeout=self.lock_timeout)
            # As redbeat does: the lock's time is set anew, not made longer and longer.
            lock.lua_extend = self.client.register_script(LUA_EXTEND_TO_SCRIPT)
            if not lock.acquire(blocking=False):
                return False
            log.info("This beat fires")
            self.lock = lock
        return True

    @property
    def schedule(self) -> dict[str, ScheduleEntry]:
        """The schedules that are due, or will be before the next tick. Unlike redbeat's, one that cannot be read costs no other its run."""
        now = time.time()
        # As bytes: a member may not be UTF-8, which a client that decodes cannot read.
        keys_due: Any = self.client.execute_command("ZRANGEBYSCORE", keys.SCHEDULES, 0, now + self.max_interval, NEVER_DECODE=[])
        entries: dict[str, ScheduleEntry] = {}
        for key in keys_due:
            with self._alone(key):
                name = key.decode()
                if self.client.hget(name, "definition") is None:
                    log.warning("Removed a schedule without a definition: key=%r", name)
                    self.client.zrem(keys.SCHEDULES, name)
                    continue
                entry = self.Entry.from_key(name, app=self.app)
                entries[entry.name] = entry
        return entries

    def maybe_due(self, entry: ScheduleEntry, **_: Any) -> float | None:
        """Run the entry if it is due. Returns the seconds until it is to be looked at again."""
        with self._alone(entry.key.encode()):
            due, next_s = entry.is_due()
            if due:
                self.start_run(entry)
            return float(next_s)
        return None

    @contextmanager
    def _alone(self, key: bytes) -> Iterator[None]:
        """Count a failure as this schedule's fault, which is then looked at again after a while, unless Redis is unavailable."""
        try:
            yield
        except Exception as error:
            if unavailable(error):
                raise
            self.loop.report(error, f"the schedule {key.decode(errors='backslashreplace')[:100]}")
            self.client.zadd(keys.SCHEDULES, {key: time.time() + _BROKEN_S}, xx=True)
