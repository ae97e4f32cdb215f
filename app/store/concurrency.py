"""Concurrency keys in Redis: what the script that submits gets and returns, and the sweep that repairs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson
import redis.asyncio

from app.core.concurrency import Concurrency
from app.core.errors import CeleriacError, ConcurrencyLimitReached, QueueFull
from app.core.owners import shown_id
from app.settings import Settings
from app.store import keys, scripts

_EVERY_S: Final = 60
_AT_ONCE: Final = 100


def encode(concurrency: Concurrency, owner: str, job: str, settings: Settings) -> bytes:
    """Return the argument of the script that submits a job with a concurrency key."""
    return orjson.dumps(
        {
            "name": concurrency.name(owner),
            "limit": concurrency.limit,
            "on_full": concurrency.on_full,
            "keep": settings.result_ttl_s,
            "most_keys": settings.concurrency_max_keys,
            "most_waiting": settings.concurrency_max_waiting,
            "most_held": settings.max_queue,
            "reason": f"Concurrency key {concurrency.key!r} had its limit of {concurrency.limit} {_jobs(concurrency.limit)}.",
            "replaced": f"Job {job}, which has the same concurrency key {concurrency.key!r}, replaced this one.",
        }
    )


def refusal(status: bytes, detail: Any, concurrency: Concurrency, owner: str) -> CeleriacError | None:
    """Return the error for what the script refused, or None if it did not refuse the job for its concurrency key.

    Args:
        status: The first part of the answer.
        detail: The second part.
        concurrency: The concurrency key of the job.
        owner: The owner of the job.
    """
    named = f"Concurrency key {concurrency.key!r}"
    if status == b"refused":
        ids = ", ".join(shown_id(owner, id.decode()) for id in detail)
        limit = f"{concurrency.limit} {_jobs(concurrency.limit)}"
        return ConcurrencyLimitReached(
            f"{named} has its limit of {limit}: {ids}. Try again when one has ended, or submit with another on_full."
        )
    if status == b"waiting":
        return QueueFull(f"{named} has its limit of jobs, and {detail} more wait for it. Try again later.")
    if status == b"keys":
        return QueueFull(f"{named} cannot be used: its owner has {detail} other keys in use, which is the limit. Try again later.")
    return None


async def place(client: redis.asyncio.Redis, name: str, job: str) -> int:
    """Return the place of a job among those of its key that are held back, 1 for the next."""
    rank: Any = await client.zrank(keys.waiting(name), job)
    return 1 if rank is None else int(rank) + 1


async def held_back(client: redis.asyncio.Redis, queues: Sequence[str]) -> list[int]:
    """Return how many deliveries of each queue are held back."""
    async with client.pipeline(transaction=False) as pipe:
        for queue in queues:
            pipe.hlen(keys.held_back(queue))
        return [int(count) for count in await pipe.execute()]


async def sweep(client: redis.asyncio.Redis, keep: int) -> int:
    """Check the keys that were not checked for a minute. Return how many faults were repaired.

    Args:
        client: A connection to Redis.
        keep: Seconds to keep the record of a job that expires.
    """
    repairs = 0
    while True:
        checked, repaired = await scripts.run_async(client, scripts.Call("sweep_concurrency", (), (_EVERY_S, _AT_ONCE, keep)))
        repairs += int(repaired)
        if checked < _AT_ONCE:
            return repairs


async def sweep_held_back(client: redis.asyncio.Redis, queue: str) -> int:
    """Check every delivery of a queue that is held back. Return how many faults were repaired."""
    ids: Any = await client.hkeys(keys.held_back(queue))
    repairs = 0
    for first in range(0, len(ids), _AT_ONCE):
        repairs += int(await scripts.run_async(client, scripts.Call("sweep_held_back", (), (queue, *ids[first : first + _AT_ONCE]))))
    return repairs


async def count(client: redis.asyncio.Redis) -> int:
    """Return how many concurrency keys are in use."""
    return int(await client.zcard(keys.CONCURRENCY))


def _jobs(count: int) -> str:
    return "job" if count == 1 else "jobs"
