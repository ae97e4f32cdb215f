"""How many deliveries wait in queues, and how many the workers of pools hold."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import redis.asyncio

from app.store import keys


async def length(client: redis.asyncio.Redis, queue: str) -> int:
    """Return how many deliveries wait in a queue and its backlog."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.llen(keys.list_of(queue))
        pipe.hlen(keys.backlog(queue))
        return sum(await pipe.execute())


async def held(client: redis.asyncio.Redis, pool: str) -> int:
    """Return how many deliveries the workers of a pool hold."""
    return await client.hlen(keys.held(pool)[0])


async def work_exists(client: redis.asyncio.Redis, pools: Mapping[str, Sequence[str]]) -> bool:
    """Return whether anything waits, runs or is watched that the maintenance looks after. `pools` are the queues of each pool.

    It is one command however many queues there are: Redis has no key whose content is empty.
    """
    work = [keys.EXPIRING, keys.CONCURRENCY, keys.WAITING_MODELS]
    for pool, names in pools.items():
        work.append(keys.held(pool)[0])
        for queue in names:
            work += [
                keys.list_of(queue),
                keys.deliveries(queue),
                keys.delayed(queue),
                keys.backlog(queue),
                keys.turns(queue),
                keys.held_back(queue),
            ]
    return bool(await client.exists(*work))


async def depths(client: redis.asyncio.Redis, pools: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
    """Return for each pool the length of each of its queues with its backlog, and then the deliveries that its workers hold, in one round trip."""
    async with client.pipeline(transaction=False) as pipe:
        for pool, queues in pools.items():
            for queue in queues:
                pipe.llen(keys.list_of(queue))
                pipe.hlen(keys.backlog(queue))
            pipe.hlen(keys.held(pool)[0])
        counts: Any = iter(await pipe.execute())
    return {pool: [*(next(counts) + next(counts) for _ in queues), next(counts)] for pool, queues in pools.items()}


def renew_leases(client: redis.Redis, pool: str, tags: Iterable[str], running: Iterable[tuple[str, str]]) -> None:
    """Write the present time for each message that is held and each delivery that runs.

    Args:
        client: A connection to Redis.
        pool: The pool of the worker.
        tags: The delivery tags of the messages that the worker holds.
        running: Queue and id of each delivery that runs.
    """
    with client.pipeline(transaction=False) as pipe:
        pipe.zadd(keys.held(pool)[1], {tag: time.time() for tag in tags}, xx=True)
        for queue, id in running:
            pipe.zadd(keys.running(queue), {id: time.time()}, xx=True)
        pipe.execute()


def oldest_messages(client: redis.Redis, queues: Sequence[str]) -> dict[str, object]:
    """Return the oldest message of each queue that has one. A message may be large, so its hash represents it."""
    with client.pipeline(transaction=False) as pipe:
        for queue in queues:
            pipe.lindex(keys.list_of(queue), -1)
        return {queue: hash(message) for queue, message in zip(queues, pipe.execute(), strict=True) if message is not None}


def give_way(client: redis.Redis, pool: str, queues: Sequence[str], worker: str, pause_ms: int) -> bool:
    """Return whether this worker should give way to a message that waits in one of the queues.

    Only one worker of a pool gives way within `pause_ms`: one free process is enough for what waits.
    """
    waits = client.exists(*map(keys.list_of, queues))
    return bool(waits and client.set(keys.giving_way(pool), worker, nx=True, px=pause_ms))
