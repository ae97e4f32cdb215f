"""Which pools are paused or draining, as one process knows it: a lookup costs no I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import redis.asyncio

from app import metrics
from app.core.errors import PoolDraining
from app.core.pools import PoolMode, PoolState
from app.store import pools


class PoolStates:
    """The states of pools. `PoolService` refreshes them when one changes.

    Attributes:
        states: The state of each pool that is paused or draining.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self.states: Mapping[str, PoolState] = {}
        self._client = client
        self._reading = asyncio.Lock()

    async def refresh(self) -> None:
        """Read the states. Raises RedisError; then they stay unchanged."""
        # One at a time: a reading that began before a change must not end after the one that follows the change.
        async with self._reading:
            self.states = await pools.read_all(self._client)

    def paused(self, pool: str) -> PoolState | None:
        """Return the state of a pool that is paused, or None."""
        state = self.states.get(pool)
        return state if state is not None and state.mode is PoolMode.PAUSED else None

    def refusal(self, pool: str) -> PoolDraining | None:
        """Return the error for new work, or None if the pool accepts it."""
        state = self.states.get(pool)
        if state is None or state.mode is not PoolMode.DRAINING:
            return None
        return PoolDraining(state.describe(pool))

    def check(self, pool: str) -> None:
        """Raise PoolDraining if the pool accepts no new work."""
        if refusal := self.refusal(pool):
            metrics.JOBS_REFUSED.labels(refusal.code).inc()
            raise refusal
