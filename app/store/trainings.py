"""The index of trainings. A training is a job: its record holds everything else."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import redis.asyncio

from app.core.jobs import Job
from app.store import keys, pages
from app.store.jobs import read_all


async def add(client: redis.asyncio.Redis, id: str, most: int) -> None:
    """List a training. Call it before the job is submitted: readers skip an id without a job, but never find a job without an id."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.zadd(keys.TRAININGS, {id: time.time()}, nx=True)
        pipe.zremrangebyrank(keys.TRAININGS, 0, -most - 1)
        await pipe.execute()


async def page(client: redis.asyncio.Redis, wanted: Callable[[Job], bool], cursor: str | None, count: int) -> tuple[list[Job], str | None]:
    """Return matching trainings, the newest first, and the cursor of the next page. Raises ValueError for an invalid cursor."""

    async def fetch(ids: Sequence[str]) -> list[Job | None]:
        return await read_all(client, ids)

    return await pages.page(client, keys.TRAININGS, fetch, wanted, cursor=cursor, count=count)
