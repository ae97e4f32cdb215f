"""What each owner has under way, its open jobs and batches, and how long its work ran today. The scripts that change states keep both."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import redis.asyncio

from app import metrics
from app.core.quotas import BATCHES_OPEN, BYTES_OPEN, DAY_S, JOBS_OPEN
from app.core.rate_limits import RateLimit, Usage
from app.store import keys, scripts
from app.store.reading import decodable

log = logging.getLogger(__name__)
_RECOUNTED: Final = 1000
"""How many jobs or batches of each index of an owner are compared in one sweep. The next sweep compares the following ones."""
_AT_ONCE: Final = 100
_KEEP_DAY_S: Final = 2 * DAY_S
_INDEXES: Final[dict[str, tuple[str, Callable[[str], str], Callable[[str], str]]]] = {
    JOBS_OPEN: ("recount_jobs", keys.open_jobs, keys.jobs_of),
    BATCHES_OPEN: ("recount_batches", keys.open_batches, keys.batches_of),
}
"""For each quota: the script that compares, the open ones of an owner, and all of an owner."""


async def sweep(client: redis.asyncio.Redis, turn: int) -> dict[str, int]:
    """Recount what owners have under way from the records, and correct it.

    Args:
        client: A connection to Redis.
        turn: Number of the sweep, which selects the part of a long index that is compared.

    Returns:
        For each quota, how many jobs or batches differed, or for how many owners the bytes did.
    """
    members: Any = await client.zrange(keys.OWNERS, 0, -1)
    drift = dict.fromkeys((*_INDEXES, BYTES_OPEN), 0)
    for owner in decodable(members):
        # Records that expire before their jobs end are in order, so this is not a drift.
        await _recount_bytes(client, owner, expired=True)
        for policy, (script, open, all) in _INDEXES.items():
            for index in (open(owner), all(owner)):
                ids = await _part(client, index, turn)
                for first in range(0, len(ids), _AT_ONCE):
                    call = scripts.Call(script, (open(owner),), (owner, *ids[first : first + _AT_ONCE]))
                    drift[policy] += int(await scripts.run_async(client, call))
        drift[BYTES_OPEN] += await _recount_bytes(client, owner)
    for policy, differed in drift.items():
        metrics.USAGE_DRIFT.labels(f"owner_{policy}").inc(differed)
        if differed:
            log.error("Corrected what owners have under way: policy=owner_%s differed=%d", policy, differed)
    return drift


async def _recount_bytes(client: redis.asyncio.Redis, owner: str, *, expired: bool = False) -> int:
    call = scripts.Call("recount_bytes", (keys.open_jobs(owner),), (owner, _RECOUNTED, int(expired)))
    return int(await scripts.run_async(client, call))


async def _part(client: redis.asyncio.Redis, index: str, turn: int) -> list[str]:
    parts = max(1, -(-int(await client.zcard(index)) // _RECOUNTED))
    first = turn % parts * _RECOUNTED
    members: Any = await client.zrange(index, first, first + _RECOUNTED - 1, desc=True)
    return decodable(members)


async def open_count(client: redis.asyncio.Redis, policy: str, owner: str) -> int:
    """Return how many jobs or batches an owner has open."""
    _, open, _ = _INDEXES[policy]
    return int(await client.zcount(open(owner), int(time.time()), "+inf"))


async def open_bytes(client: redis.asyncio.Redis, owner: str) -> int:
    """Return how many bytes of inputs the open jobs of an owner have."""
    return int(await client.hget(keys.OPEN_BYTES, owner) or 0)


async def of_rates(client: redis.asyncio.Redis, limits: Iterable[tuple[RateLimit, str]]) -> list[Usage]:
    """Return what is left of rate limits now."""
    usages = []
    for limit, subject in limits:
        arrival = float(await client.get(keys.rate_limit(f"{limit.policy}:{subject}")) or 0) / 1e6
        reset_s = max(0.0, arrival - time.time())
        remaining = int(max(0.0, limit.window_s - reset_s) * limit.quota / limit.window_s + 0.005)
        usages.append(Usage(limit, subject, remaining, reset_s))
    return usages


async def run_seconds(client: redis.asyncio.Redis, owner: str, now: float) -> float:
    """Return how many seconds the work of an owner ran on the UTC day of `now`."""
    return int(await client.hget(keys.run_seconds(int(now // DAY_S)), owner) or 0) / 1000


async def add_run_seconds(client: redis.asyncio.Redis, seconds: Mapping[str, float], now: float) -> None:
    """Add to what the work of owners ran on the UTC day of `now`, all or nothing."""
    if not seconds:
        return
    day = keys.run_seconds(int(now // DAY_S))
    async with client.pipeline(transaction=True) as pipe:
        for owner, added in seconds.items():
            pipe.hincrby(day, owner, round(1000 * added))
        pipe.expire(day, _KEEP_DAY_S)
        await pipe.execute()
