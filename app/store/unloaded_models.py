"""Models that somebody took out of service: the API refuses them and workers drop them, until somebody loads them again."""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio

from app.store import keys
from app.store.reading import decodable


async def add(client: redis.asyncio.Redis, name: str) -> None:
    await client.sadd(keys.WITHDRAWN, name)


async def remove(client: redis.asyncio.Redis, name: str) -> None:
    await client.srem(keys.WITHDRAWN, name)


async def read_async(client: redis.asyncio.Redis) -> frozenset[str]:
    found: Any = await client.smembers(keys.WITHDRAWN)
    return frozenset(decodable(found))


def read(client: redis.Redis) -> frozenset[str]:
    found: Any = client.smembers(keys.WITHDRAWN)
    return frozenset(decodable(found))
