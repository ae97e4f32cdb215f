"""What the main process has of its own beside Celery's: one connection to Redis.

One, because a connection that breaks without a word blocks the event loop until its time limit is over, and several would do
so one after the other.
"""

from __future__ import annotations

from functools import cache

import redis as redis_py

from app.loops import Loops
from app.settings import settings
from app.store.redis.client import connect
from app.worker.oom_kills import MemoryKills


@cache
def memory_kills() -> MemoryKills:
    """Called first when the worker starts: kills from before are none of its processes'."""
    return MemoryKills()


@cache
def loops() -> Loops:
    """The background loops of the main process: Celery's timers, of which none may end the worker by an exception."""
    return Loops(settings().loop_stall_s, settings().loop_dead_s)


@cache
def redis() -> redis_py.Redis:
    return connect()
