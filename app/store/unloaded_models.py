"""Models that a caller unloaded: the API refuses them and workers drop them until they are loaded again."""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio

from app.store import audit, keys, tables
from app.store.reading import decodable


async def add(client: redis.asyncio.Redis, name: str, entry: bytes) -> None:
    """Unload a model, and write an entry of the audit log if it was loaded."""
    await audit.change(client, entry, ("SADD", keys.WITHDRAWN, name), *tables.CHANGED)


async def remove(client: redis.asyncio.Redis, name: str, entry: bytes) -> None:
    """Load a model again, and write an entry of the audit log if it was unloaded."""
    await audit.change(client, entry, ("SREM", keys.WITHDRAWN, name), *tables.CHANGED)


async def read_async(client: redis.asyncio.Redis) -> frozenset[str]:
    """Return the names of unloaded models."""
    names: Any = await client.smembers(keys.WITHDRAWN)
    return frozenset(decodable(names))


def read(client: redis.Redis) -> frozenset[str]:
    """Return the names of unloaded models."""
    names: Any = client.smembers(keys.WITHDRAWN)
    return frozenset(decodable(names))
