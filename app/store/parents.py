"""Parents (batches, pipeline runs, planned runs of schedules) whose next step is to be decided, by the time when they are due."""

from __future__ import annotations

import redis.asyncio

from app.store import claims, keys, scripts
from app.store.claims import Claimed


async def claim(client: redis.asyncio.Redis, lease_s: float, most: int) -> Claimed:
    """Claim up to `most` parents that are due. Each is due again after `lease_s` unless it is rescheduled before."""
    return await claims.claim(client, keys.RECONCILE, lease_s, most)


async def due_now(client: redis.asyncio.Redis, parent: str) -> None:
    """Make a parent due at once, and wake the process that waits for one."""
    await client.zadd(keys.RECONCILE, {parent: 0})
    await client.publish(keys.RECONCILE_DUE, "due")


def due(parent: str) -> tuple[tuple[str, ...], ...]:
    """Return the commands of `due_now`, for a script that does more."""
    return ("ZADD", keys.RECONCILE, "0", parent), ("PUBLISH", keys.RECONCILE_DUE, "due")


async def reschedule(client: redis.asyncio.Redis, parent: str, after_s: float | None) -> None:
    """Make a claimed parent due after `after_s` seconds, or only when one of its jobs ends (None). One that became due meanwhile stays due."""
    await scripts.run_async(client, scripts.reschedule_parent(parent, after_s))
