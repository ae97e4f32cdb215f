"""How much work each pool has."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import redis.asyncio

from app.broker import names
from app.store import keys


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """Deliveries that wait in the two lanes, and that workers hold: the numbers that KEDA adds up."""

    interactive: int
    bulk: int
    running: int


async def read(client: redis.asyncio.Redis, pools: Collection[str]) -> dict[str, QueueDepth]:
    async with client.pipeline(transaction=False) as pipe:
        for pool in pools:
            pipe.llen(keys.list_of(names.interactive(pool)))
            pipe.llen(keys.list_of(names.bulk(pool)))
            pipe.hlen(keys.PREFIX + keys.unacked(pool))
        found = iter(await pipe.execute())
    return {pool: QueueDepth(next(found), next(found), next(found)) for pool in pools}
