"""Leases: at most one process at a time holds each."""

from __future__ import annotations

import time
from collections.abc import Callable

import redis.asyncio


class Lease:
    """A lease as one process sees it.

    Args:
        client: A connection to Redis.
        key: The key of the lease.
        owner: The process.
        lease_s: How long the lease lasts without being extended. It is extended after half of that.
        clock: Returns seconds.
    """

    def __init__(
        self, client: redis.asyncio.Redis, key: str, owner: bytes, lease_s: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._key = key
        self._owner = owner
        self._lease_s = lease_s
        self._clock = clock
        self._extended_at: float | None = None

    async def hold(self) -> bool:
        """Take the lease if nobody holds it, or extend it if this process does. Return whether this process holds it now."""
        now, since = self._clock(), self._extended_at
        if since is not None and now - since < self._lease_s / 2:
            return True
        # Set while Redis is asked: whatever it answers, a failure must not be taken for a lease.
        self._extended_at = None
        # Within its time nobody else takes it.
        held = await (self._take() if since is None or now - since >= self._lease_s else self._extend())
        self._extended_at = now if held else None
        return held

    async def _take(self) -> bool:
        # SET alone would not report a key of a wrong type.
        holder = await self._client.get(self._key)
        return holder is None and bool(await self._client.set(self._key, self._owner, nx=True, ex=self._lease_s))

    async def _extend(self) -> bool:
        # If Redis has lost the lease, another process may hold it. Then both give it up.
        return await self._client.set(self._key, self._owner, ex=self._lease_s, get=True) in (None, self._owner)
