"""The replies that an API process missed."""

from __future__ import annotations

import redis.asyncio


async def take(client: redis.asyncio.Redis, key: str) -> list[bytes]:
    """Return the replies that Redis kept under a key because nobody was subscribed, and delete them."""
    async with client.pipeline(transaction=True) as pipe:
        pipe.lrange(key, 0, -1)
        pipe.delete(key)
        missed, _ = await pipe.execute()
    replies: list[bytes] = missed
    return replies
