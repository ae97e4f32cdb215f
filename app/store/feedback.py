"""True answers of rows that were predicted before, by model and UTC day of their arrival, in Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import orjson
import redis.asyncio

from app.core.errors import StorageFull
from app.core.feedback import Actual, Feedback
from app.core.stats import DAY_S
from app.store import keys

_SEPARATOR: Final = b"\n"


async def add(
    client: redis.asyncio.Redis, model: str, owner: str, items: Sequence[Feedback], now: float, keep_s: int, max_rows: int
) -> None:
    """Keep feedback for at least `keep_s` seconds. The same row again replaces what it had.

    Raises:
        StorageFull: The model has `max_rows` rows today.
    """
    key = keys.feedback(model, int(now // DAY_S))
    if int(await client.hlen(key)) + len(items) > max_rows:
        detail = f"Model {model!r} may receive feedback on {max_rows} rows a day (CELERIAC_MAX_FEEDBACK_ROWS). Try again tomorrow."
        raise StorageFull(detail)
    async with client.pipeline(transaction=True) as pipe:
        pipe.hset(key, mapping={f"{owner}\n{item.job}\n{item.row}": orjson.dumps(item.actual) for item in items})
        pipe.expire(key, keep_s + DAY_S)
        await pipe.execute()


async def exists(client: redis.asyncio.Redis, model: str, now: float, keep_s: int) -> bool:
    """Return whether a model has feedback."""
    return bool(await client.exists(*(keys.feedback(model, day) for day in _days(now, keep_s))))


async def read(client: redis.asyncio.Redis, model: str, now: float, keep_s: int) -> Mapping[tuple[str, str, int], Actual]:
    """Return the feedback on a model by owner, job and row. Of a row that has several, the latest day counts."""
    actuals: dict[tuple[str, str, int], Actual] = {}
    for day in _days(now, keep_s):
        stored: Any = await client.hgetall(keys.feedback(model, day))
        for field, value in stored.items():
            # One that another program has written must not cost the others.
            with suppress(ValueError):
                owner, job, row = field.split(_SEPARATOR)
                actuals[owner.decode(), job.decode(), int(row)] = orjson.loads(value)
    return actuals


async def remove(client: redis.asyncio.Redis, model: str, owner: str, now: float, keep_s: int) -> None:
    """Delete the feedback of an owner."""
    for day in _days(now, keep_s):
        key = keys.feedback(model, day)
        fields: Any = await client.hkeys(key)
        mine = [field for field in fields if field.startswith(owner.encode() + _SEPARATOR)]
        if mine:
            await client.hdel(key, *mine)


def _days(now: float, keep_s: int) -> range:
    today = int(now // DAY_S)
    return range(today - -(-keep_s // DAY_S), today + 1)
