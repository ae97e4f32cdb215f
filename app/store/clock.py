"""The clock of Redis, by which figures and records are timed."""

from __future__ import annotations

import redis.asyncio


async def now(client: redis.asyncio.Redis) -> float:
    """Return the time in seconds since 1970."""
    seconds, microseconds = await client.time()
    return float(seconds + microseconds / 1e6)
