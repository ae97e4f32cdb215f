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


def models_changed(client: redis.Redis) -> None:
    """Report that the model repository in a bucket has changed, of which every machine has a mirror. Raises RedisError."""
    with client.pipeline(transaction=False) as pipe:
        pipe.hincrby(keys.TABLES, "models", 1)
        pipe.publish(keys.TABLES_CHANGED, "changed")
        pipe.execute()


def models_revision(client: redis.Redis) -> int:
    """Return a number that grows with every such change."""
    return int(client.hget(keys.TABLES, "models") or 0)


async def models_revision_async(client: redis.asyncio.Redis) -> int:
    """Return a number that grows with every such change."""
    return int(await client.hget(keys.TABLES, "models") or 0)


def revision(client: redis.Redis) -> int:
    """Return a number that grows with every change."""
    return int(client.hget(keys.TABLES, "revision") or 0)
