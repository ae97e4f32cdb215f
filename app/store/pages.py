"""Pages of records that a sorted set lists by time, the newest first, with a filter on the records."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import redis.asyncio

from app.store.reading import decodable

Record = TypeVar("Record")
LOOKED_AT: Final = 1000
"""Maximum number of members that one page examines, so that a filter that matches few does not block Redis."""


async def page(
    client: redis.asyncio.Redis,
    key: str,
    fetch: Callable[[Sequence[str]], Awaitable[Sequence[Record | None]]],
    wanted: Callable[[Record], bool],
    *,
    cursor: str | None,
    count: int,
    after: float | None = None,
    before: float | None = None,
) -> tuple[list[Record], str | None]:
    """Return up to `count` records, and the cursor of the next page (None at the end).

    A page may be short or empty and still have a cursor.

    Args:
        client: A connection to Redis.
        key: The sorted set.
        fetch: Returns the record of each id, or None if it has expired.
        wanted: The filter.
        cursor: The cursor that the page before returned.
        count: The size of the page.
        after: Skip records of this time (seconds since 1970) and older ones.
        before: Skip records newer than this time.

    Raises:
        ValueError: The cursor is invalid.
    """
    past = _parse(cursor) if cursor else None
    newest = min(past[0] if past else math.inf, math.inf if before is None else before)
    oldest = "-inf" if after is None else f"({after!r}"
    records: list[Record] = []
    looked, last = 0, cursor
    while looked < LOOKED_AT:
        listed: Any = await client.zrange(key, newest, oldest, desc=True, byscore=True, offset=looked, num=max(count, 100), withscores=True)
        if not listed:
            return records, None
        looked += len(listed)
        # Many may have the same time: among them the id decides what was shown before.
        members = [(score, id) for member, score in listed for id in decodable([member]) if past is None or (score, id) < past]
        for (score, id), record in zip(members, await fetch([id for _, id in members]), strict=True):
            last = f"{score!r}_{id}"
            if record is not None and wanted(record):
                records.append(record)
                if len(records) == count:
                    return records, last
    return records, last


def _parse(cursor: str) -> tuple[float, str]:
    score, _, id = cursor.partition("_")
    if not math.isfinite(float(score)):
        raise ValueError(cursor)
    return float(score), id
