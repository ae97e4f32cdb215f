"""Reading and discarding dead letters. `finish.lua` writes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

import orjson
import redis.asyncio

from app.core import attempts
from app.core.dead_letters import Cause, CauseGroup, DeadLetter, Wanted
from app.core.deliveries import Delivery
from app.core.traces import TraceContext
from app.store import audit, keys, pages
from app.store.blobs import blobs
from app.store.reading import answers, fields_of, readable, required
from app.store.records import decode_webhook, owner_of

_KIND: Final = "dead letter"
GROUPED: Final = 10_000
"""Most dead letters that one request groups."""
_SUMMARY: Final = ("spec", "error", "tries", "died_at", "traceback", "owner")


async def read(client: redis.asyncio.Redis, id: str) -> DeadLetter | None:
    """Return a dead letter with its input, or None. Raises PayloadLost if the blob of the input is gone."""
    fields = await fields_of(client, keys.dead(id))
    letter = required(_KIND, id, [fields], lambda fields: _decode(id, [fields.get(name.encode()) for name in _SUMMARY]))
    if letter is not None:
        letter.inputs = Delivery.unpack(await asyncio.to_thread(blobs().fetch, fields[b"body"])).inputs
        letter.webhook = decode_webhook(fields.get(b"webhook", b""))
        letter.trace = TraceContext.decode(fields.get(b"trace", b"").decode())
    return letter


async def page(client: redis.asyncio.Redis, wanted: Wanted, cursor: str | None, count: int) -> tuple[list[DeadLetter], str | None]:
    """Return dead letters without their inputs, and the cursor of the next page. Raises ValueError for an invalid cursor."""

    async def fetch(ids: Sequence[str]) -> list[DeadLetter | None]:
        async with client.pipeline(transaction=False) as pipe:
            for id in ids:
                pipe.hmget(keys.dead(id), *_SUMMARY)
            records = await answers(pipe)
        return [readable(_KIND, id, [values], partial(_decode, id)) for id, values in zip(ids, records, strict=True)]

    return await pages.page(client, keys.DEAD, fetch, wanted.matches, cursor=cursor, count=count, after=wanted.after, before=wanted.before)


async def groups(client: redis.asyncio.Redis, wanted: Wanted) -> tuple[list[CauseGroup], bool]:
    """Return the newest dead letters by their cause, the most frequent first, and whether these are all."""
    by_cause: dict[Cause, CauseGroup] = {}
    cursor: str | None = None
    for _ in range(GROUPED // pages.LOOKED_AT):
        letters, cursor = await page(client, wanted, cursor, pages.LOOKED_AT)
        for letter in letters:
            cause = letter.cause
            group = by_cause.get(cause)
            if group is None:
                by_cause[cause] = CauseGroup(cause, 1, letter.died_at, letter.died_at, letter.id, {letter.version})
            else:
                group.count += 1
                group.first_at = letter.died_at
                group.versions.add(letter.version)
        if cursor is None:
            break
    return sorted(by_cause.values(), key=lambda group: -group.count), cursor is None


async def discard(client: redis.asyncio.Redis, ids: Sequence[str], entry: bytes) -> int:
    """Delete dead letters, and write an entry of the audit log. Return how many existed."""
    return await audit.change(client, entry, ("DEL", *map(keys.dead, ids)), ("ZREM", keys.DEAD, *ids))


async def sweep(client: redis.asyncio.Redis, older_than_s: float) -> int:
    """Drop ids of expired letters from the index. Return how many letters are left."""
    await client.zremrangebyscore(keys.DEAD, "-inf", time.time() - older_than_s)
    return int(await client.zcard(keys.DEAD))


def _decode(id: str, values: list[bytes | None]) -> DeadLetter | None:
    spec, error, tries, died_at, traceback, owner = values
    if spec is None or error is None or died_at is None:
        return None
    model, version, outputs, rows, *_ = orjson.loads(spec)
    tried = attempts.parse((tries or b"").decode())
    text = (traceback or b"").decode(errors="replace")
    return DeadLetter(id, model, version, tuple(outputs), rows, orjson.loads(error), float(died_at), tried, text, owner=owner_of(owner))
