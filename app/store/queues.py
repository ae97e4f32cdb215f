"""How many deliveries wait in queues, and how many the workers of pools hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import redis.asyncio

from app.store import keys


async def length(client: redis.asyncio.Redis, queue: str) -> int:
    """Return how many deliveries wait in a queue."""
    return await client.llen(keys.list_of(queue))


async def held(client: redis.asyncio.Redis, pool: str) -> int:
    """Return how many deliveries the workers of a pool hold."""
    return await client.hlen(keys.held(pool)[0])


async def depths(client: redis.asyncio.Redis, pools: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
    """Return for each pool the length of each of its queues, and then the deliveries that its workers hold, in one round trip."""
    async with client.pipeline(transaction=False) as pipe:
        for pool, queues in pools.items():
            for queue in queues:
                pipe.llen(keys.list_of(queue))
            pipe.hlen(keys.held(pool)[0])
        counts: Any = iter(await pipe.execute())
    return {pool: [next(counts) for _ in range(len(queues) + 1)] for pool, queues in pools.items()}
