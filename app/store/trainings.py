"""The index of trainings. A training is a job: its record holds everything else."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import redis.asyncio

from app.core.jobs import Job
from app.store import keys, pages
from app.store.jobs import read_all


async def add(client: redis.asyncio.Redis, id: str, owner: str) -> None:
    """List a training. Call it before the job is submitted: readers skip an id without a job, but never find a job without an id."""
    async with client.pipeline(transaction=False) as pipe:
        for index in (keys.TRAININGS, keys.trainings_of(owner)):
            pipe.zadd(index, {id: time.time()}, nx=True)
        await pipe.execute()


async def remove(client: redis.asyncio.Redis, id: str, owner: str) -> None:
    """Remove a training from the lists whose job was refused."""
    async with client.pipeline(transaction=False) as pipe:
        for index in (keys.TRAININGS, keys.trainings_of(owner)):
            pipe.zrem(index, id)
        await pipe.execute()


async def trim(client: redis.asyncio.Redis, most: int, owner: str) -> None:
    """Drop the oldest trainings from the lists. Call it after the job is submitted, so that refused ones displace no others."""
    async with client.pipeline(transaction=False) as pipe:
        for index in (keys.TRAININGS, keys.trainings_of(owner)):
            pipe.zremrangebyrank(index, 0, -most - 1)
        await pipe.execute()


async def page(
    client: redis.asyncio.Redis, wanted: Callable[[Job], bool], cursor: str | None, count: int, owner: str | None = None
) -> tuple[list[Job], str | None]:
    """Return matching trainings of an owner, or of all owners, the newest first, and the cursor of the next page. Raises ValueError for an invalid cursor."""

    async def fetch(ids: Sequence[str]) -> list[Job | None]:
        return await read_all(client, ids)

    index = keys.TRAININGS if owner is None else keys.trainings_of(owner)
    return await pages.page(client, index, fetch, wanted, cursor=cursor, count=count)
