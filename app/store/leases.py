"""Leases: at most one process at a time holds each."""

from __future__ import annotations

import redis.asyncio


async def hold(client: redis.asyncio.Redis, key: str, owner: bytes, lease_s: int) -> bool:
    """Take the lease if nobody holds it, or extend it if `owner` does. Return whether `owner` holds it now."""
    if await client.set(key, owner, nx=True, ex=lease_s):
        return True
    if await client.get(key) != owner:
        return False
    await client.expire(key, lease_s)
    return True
