"""What the main process has of its own beside Celery's: its background loops, and one connection to Redis.

One connection, because one that breaks silently blocks the event loop until its time limit, and several would do so one after
the other.
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
    """Return the counter of the kernel's kills. Call it first when the worker starts: earlier kills do not count."""
    return MemoryKills()


@cache
def loops() -> Loops:
    """Return the background loops of the main process: Celery's timers, none of which may end the worker by an exception."""
    return Loops(settings().loop_stall_s, settings().loop_dead_s)


@cache
def redis() -> redis_py.Redis:
    """Return the connection to Redis."""
    return connect()
