"""Changes of the small tables of which every process keeps a copy: they are read again when they changed, not every second.

API processes are notified. Workers, which have no subscription, compare a number.
"""

from __future__ import annotations

from typing import Final

import redis
import redis.asyncio

from app.store import keys

CHANGED: Final = (("HINCRBY", keys.TABLES, "revision", 1), ("PUBLISH", keys.TABLES_CHANGED, "changed"))
"""The commands to send after those that change a table, in the same pipeline or script."""


def changed(pipe: redis.client.Pipeline | redis.asyncio.client.Pipeline) -> None:
    """Add these commands to a pipeline."""
    for command in CHANGED:
        pipe.execute_command(*command)


def revision(client: redis.Redis) -> int:
    """Return a number that grows with every change."""
    return int(client.hget(keys.TABLES, "revision") or 0)
