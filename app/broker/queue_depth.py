"""How much work is queued and running in each pool."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import redis.asyncio

from app.broker import names
from app.store import queues


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """Deliveries that wait in the queues of a pool, and that its workers hold. KEDA scales by their sum."""

    priority: int
    interactive: int
    bulk: int
    flex: int
    running: int


async def read(client: redis.asyncio.Redis, pools: Collection[str]) -> dict[str, QueueDepth]:
    """Return the queue depth of each pool."""
    depths = await queues.depths(client, {pool: names.queues(pool) for pool in pools})
    return {pool: QueueDepth(*counts) for pool, counts in depths.items()}
