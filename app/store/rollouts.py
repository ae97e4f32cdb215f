"""The last rollout of each alias. The file of the aliases says how far one under way is."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import orjson
import redis.asyncio

from app.core.rollouts import RolloutRecord
from app.store import keys
from app.store.reading import decodable


async def write(client: redis.asyncio.Redis, name: str, alias: str, record: RolloutRecord) -> None:
    """Store the rollout of an alias."""
    await client.hset(keys.ROLLOUTS, f"{name}/{alias}", orjson.dumps(record.as_dict()))


async def read(client: redis.asyncio.Redis, name: str, alias: str) -> RolloutRecord | None:
    """Return the last rollout of an alias, or None if there was none."""
    text: Any = await client.hget(keys.ROLLOUTS, f"{name}/{alias}")
    return None if text is None else _record(text)


async def running(client: redis.asyncio.Redis) -> dict[tuple[str, str], RolloutRecord]:
    """Return the rollouts that have not ended, by model and alias."""
    stored: Any = await client.hgetall(keys.ROLLOUTS)
    listed = {}
    for place in decodable(stored):
        name, _, alias = place.partition("/")
        record = _record(stored[place.encode()])
        if record is not None and not record.state.final:
            listed[name, alias] = record
    return listed


def _record(text: bytes) -> RolloutRecord | None:
    with suppress(ValueError, TypeError, KeyError):
        return RolloutRecord.from_dict(orjson.loads(text))
    return None
