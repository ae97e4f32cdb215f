"""The indexes of each owner's jobs, batches and trainings, which keep lists as fast for one owner as for all."""

from __future__ import annotations

import time
from typing import Any, Final, cast

import orjson
import redis.asyncio

from app.core.api_keys import DEFAULT_OWNER
from app.store import keys, scripts
from app.store.quarantine import Quarantine
from app.store.reading import decodable, readable

_AT_ONCE: Final = 1000


async def sweep(client: redis.asyncio.Redis, quarantine: Quarantine, *, jobs_s: float, batches_s: float, longest_s: float) -> int:
    """Drop the ids of expired records from the indexes, and owners of whom nothing is left. Return the number of owners.

    Args:
        client: A connection to Redis.
        quarantine: Moves indexes of a wrong type aside.
        jobs_s: The age of a job whose record has certainly expired.
        batches_s: The age of a batch whose record has certainly expired.
        longest_s: The age of anything whose record has certainly expired.
    """
    now = time.time()
    members: Any = await client.zrange(keys.OWNERS, 0, -1)
    for owner in decodable(members):
        indexes = (keys.jobs_of(owner), keys.batches_of(owner), keys.trainings_of(owner), keys.open_jobs(owner), keys.open_batches(owner))
        await quarantine.check_keys(dict.fromkeys(indexes, "zset"))
        async with client.pipeline(transaction=False) as pipe:
            pipe.zremrangebyscore(indexes[0], "-inf", now - jobs_s)
            pipe.zremrangebyscore(indexes[1], "-inf", now - batches_s)
            await pipe.execute()
        await scripts.run_async(client, scripts.Call("forget_owner", (keys.OWNERS, *indexes), (owner, now - longest_s)))
    return int(await client.zcard(keys.OWNERS))


async def adopt(client: redis.asyncio.Redis) -> None:
    """Fill the indexes of owners once, from the indexes of a release that had none. Its jobs belong to the default owner."""
    if await client.exists(keys.OWNERS):
        return
    await _copy(client, keys.JOBS, keys.jobs_of(DEFAULT_OWNER))
    await _copy(client, keys.TRAININGS, keys.trainings_of(DEFAULT_OWNER))
    listed: Any = await client.zrange(keys.BATCHES, 0, -1, withscores=True)
    for first in range(0, len(listed), _AT_ONCE):
        await _adopt_batches(client, listed[first : first + _AT_ONCE])
    await client.zadd(keys.OWNERS, {DEFAULT_OWNER: time.time()})


async def _copy(client: redis.asyncio.Redis, source: str, target: str) -> None:
    first = 0
    while members := cast("list[tuple[bytes, float]]", await client.zrange(source, first, first + _AT_ONCE - 1, withscores=True)):
        await client.zadd(target, dict(members))
        first += _AT_ONCE


async def _adopt_batches(client: redis.asyncio.Redis, listed: list[tuple[bytes, float]]) -> None:
    """Index batches by the owner in their records, which batches had before."""
    async with client.pipeline(transaction=False) as pipe:
        for id, _ in listed:
            pipe.hget(keys.batch(id.decode(errors="replace")), "order")
        specs = await pipe.execute()
        for (id, created_at), spec in zip(listed, specs, strict=True):
            owner = readable("batch", id.decode(errors="replace"), [spec], _owner)
            if owner is not None:
                pipe.zadd(keys.batches_of(owner), {id: created_at})
                pipe.zadd(keys.OWNERS, {owner: time.time()})
        await pipe.execute()


def _owner(spec: bytes | None) -> str | None:
    return None if spec is None else orjson.loads(spec).get("owner") or DEFAULT_OWNER
