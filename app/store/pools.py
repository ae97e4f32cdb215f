"""The pools that are paused or draining: one hash for all, and a mark of each paused pool, whose length KEDA reads."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson
import redis
import redis.asyncio

from app.core.pools import PoolMode, PoolState
from app.store import audit, keys
from app.store.reading import readable


async def write(client: redis.asyncio.Redis, pool: str, state: PoolState | None, entry: bytes) -> None:
    """Store the state of a pool, or that it is active (None), with an entry of the audit log, and notify the API processes.

    An active pool that stays active gets no entry.
    """
    paused = state is not None and state.mode is PoolMode.PAUSED
    mark = ("HSET", keys.paused(pool), "since", state.since) if state is not None and paused else ("DEL", keys.paused(pool))
    stored = ("HDEL", keys.POOL_STATES, pool) if state is None else ("HSET", keys.POOL_STATES, pool, orjson.dumps(asdict(state)))
    notice = ("PUBLISH", keys.POOLS_CHANGED, pool)
    await audit.change(client, entry, stored, mark, notice, must_change=state is None)


async def read_all(client: redis.asyncio.Redis) -> dict[str, PoolState]:
    """Return the state of each pool that is paused or draining."""
    stored: Any = await client.hgetall(keys.POOL_STATES)
    states = {name.decode(errors="replace"): text for name, text in stored.items()}
    decoded = {name: readable("pool state", name, [text], _decode) for name, text in states.items()}
    return {name: state for name, state in decoded.items() if state is not None}


async def start_seconds(client: redis.asyncio.Redis, pool: str) -> float | None:
    """Return how long the last worker of a pool took to start, or None if none has started yet."""
    stored: Any = await client.hget(keys.START_SECONDS, pool)
    return None if stored is None else readable("start of a worker", pool, [stored], float)


def read(client: redis.Redis, pool: str) -> PoolState | None:
    """Return the state of a pool, or None if it is active."""
    text: Any = client.hget(keys.POOL_STATES, pool)
    return None if text is None else readable("pool state", pool, [text], _decode)


def _decode(text: bytes) -> PoolState:
    stored = orjson.loads(text)
    state = PoolState(PoolMode(stored["mode"]), float(stored["since"]), *(str(stored[name]) for name in ("key_id", "key_name", "reason")))
    if state.mode is PoolMode.ACTIVE:
        raise ValueError("an active pool has no record")
    return state
