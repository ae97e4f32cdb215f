"""The backlog of a queue: deliveries that wait until it is the turn of their owner. The scripts that submit, start and end deliveries keep it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
import redis
import redis.asyncio

from app.store import keys, scripts

_MOST_OWNERS: Final = 1000
_AT_ONCE: Final = 100


def encode(costs: Mapping[str, float]) -> bytes:
    """Return the argument `shares` of a script: what a delivery costs each of its owners."""
    return orjson.dumps(list(costs.items()))


def release(client: redis.Redis, queue: str) -> None:
    """Release deliveries until the queue has its target length. Starting or ending a delivery does the same."""
    scripts.run(client, scripts.Call("release", (), (queue,)))


async def sweep(client: redis.asyncio.Redis, queue: str, target: int) -> tuple[int, int]:
    """Release what no worker released, and count the backlog again.

    A delivery that is in no list of an owner was lost by a fault, and is put into the queue.

    Args:
        client: A connection to Redis.
        queue: The queue.
        target: The length of the queue above which deliveries wait in the backlog.

    Returns:
        How many deliveries are in the backlog, and how many more or fewer are in the lists of its owners.
    """
    waiting, drift = await scripts.run_async(client, scripts.Call("sweep_backlog", (), (queue, target, _MOST_OWNERS)))
    if drift > 0:
        await _restore(client, queue)
    return int(waiting), int(drift)


async def _restore(client: redis.asyncio.Redis, queue: str) -> None:
    # In this order: what is submitted between the two is in the lists only, what is released in neither.
    strays: set[Any] = set(await client.hkeys(keys.backlog(queue)))
    owners: Any = await client.zrange(keys.turns(queue), 0, -1)
    for owner in owners:
        own = keys.backlog_of(f"{queue}:{owner.decode()}")
        if await client.type(own) == b"list":
            entries: Any = await client.lrange(own, 0, -1)
            strays.difference_update(entry.rpartition(b" ")[2] for entry in entries)
    ids = sorted(strays)
    for first in range(0, len(ids), _AT_ONCE):
        await scripts.run_async(client, scripts.Call("restore", (), (queue, *ids[first : first + _AT_ONCE])))
