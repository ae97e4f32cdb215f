"""Replies to an API process that was not subscribed to its channel when they came."""

from __future__ import annotations

import redis.asyncio

from app.store import keys


async def take_missed(client: redis.asyncio.Redis, process: str) -> list[bytes]:
    """Remove the replies that Redis kept for a process, and return them in the order in which they came."""
    async with client.pipeline() as pipe:
        pipe.lrange(keys.reply(process), 0, -1)
        pipe.delete(keys.reply(process))
        missed, _ = await pipe.execute()
    return list(missed)
