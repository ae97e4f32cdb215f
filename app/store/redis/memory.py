"""How much of its memory Redis uses."""

from __future__ import annotations

import redis.asyncio


async def used_ratio(client: redis.asyncio.Redis) -> float:
    """Return the share of `maxmemory` in use; 0 without a limit."""
    info = await client.info("memory")
    limit = int(info.get("maxmemory", 0))
    return int(info["used_memory"]) / limit if limit else 0.0
