"""Models that a caller unloaded: the API refuses them and workers drop them until they are loaded again."""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio

from app.store import keys
from app.store.reading import decodable


async def add(client: redis.asyncio.Redis, name: str) -> None:
    """Unload a model."""
    await client.sadd(keys.WITHDRAWN, name)


async def remove(client: redis.asyncio.Redis, name: str) -> None:
    """Load a model again."""
    await client.srem(keys.WITHDRAWN, name)


async def read_async(client: redis.asyncio.Redis) -> frozenset[str]:
    """Return the names of unloaded models."""
    names: Any = await client.smembers(keys.WITHDRAWN)
    return frozenset(decodable(names))


def read(client: redis.Redis) -> frozenset[str]:
    """Return the names of unloaded models."""
    names: Any = client.smembers(keys.WITHDRAWN)
    return frozenset(decodable(names))
