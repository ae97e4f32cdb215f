"""The audit log in Redis: two chains, one of changes and one of refused requests, which must not displace changes.

A script that changes something writes the entry itself, see `audit.lua`. `change` is such a script for plain commands.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import orjson
import redis
import redis.asyncio
from redis.exceptions import RedisError

from app import metrics
from app.core.audit import Head, Stored, order, text_digest
from app.logs import AUDIT
from app.settings import settings
from app.store import keys, scripts
from app.store.reading import readable
from app.store.scripts import Entry

log = logging.getLogger(AUDIT)
CHANGES: Final = "changes"
REFUSALS: Final = "refusals"
_STREAMS: Final = {CHANGES: keys.AUDIT, REFUSALS: keys.AUDIT_REFUSALS}
_AT_ONCE: Final = 200
_LOOKED_AT: Final = 2000
"""Maximum number of entries that one page examines."""
_DAY_MS: Final = 24 * 3600 * 1000
_MAX_NOTED: Final = 100_000
"""Versions of models that the audit log remembers as published."""
_Command = tuple[str | bytes | int | float, ...]


def entry(text: bytes) -> Entry:
    """Return an entry as scripts take it, with its bounds."""
    config = settings()
    return text, text_digest(text), config.audit_max_entries, config.audit_days * _DAY_MS


def report(text: bytes, id: bytes, prev: bytes) -> None:
    """Count an entry that was written, and log it."""
    written = Stored(id.decode(), prev.decode(), text).entry()
    metrics.AUDIT_ENTRIES.labels(written["action"]).inc()
    log.info("%s", written["action"], extra={"audit": True, **written})


async def change(client: redis.asyncio.Redis, text: bytes, *commands: _Command, must_change: bool = True) -> int:
    """Run commands and write the entry, in one transaction. Return what the first command returned.

    Args:
        client: A connection to Redis.
        text: The entry.
        *commands: The commands. The first one must return 0 if it changes nothing. Then the others and the entry are left out.
        must_change: Whether that is so. Otherwise everything is written in any case.

    Example:
        await change(client, text, ("SREM", keys.WITHDRAWN, "wine"))
    """
    answer = await scripts.run_async(client, _call(CHANGES, text, commands, must_change))
    if answer is None:
        return 0
    result, *written = answer
    report(text, *written)
    return int(result)


async def write(client: redis.asyncio.Redis, text: bytes, chain: str = CHANGES) -> None:
    """Write the entry of a change that was made outside of Redis. If that fails, the log has the entry."""
    try:
        _, *written = await scripts.run_async(client, _call(chain, text, (), must_change=False))
        report(text, *written)
    except (RedisError, OSError) as error:
        _lose(text, error)


def write_removal(client: redis.Redis, text: bytes, name: str, version: str) -> None:
    """Write the entry of a version that was removed from the model repository. If that fails, the log has the entry."""
    command = ("ZREM", keys.PUBLISHED, f"{name}/{version}")
    try:
        _, *written = scripts.run(client, _call(CHANGES, text, (command,), must_change=False))
        report(text, *written)
    except (RedisError, OSError) as error:
        _lose(text, error)


async def write_publication(client: redis.asyncio.Redis, text: bytes, name: str, version: str) -> None:
    """Write the entry of a version that a caller published, and note it for `write_publications`. If that fails, the log has the entry."""
    command = ("ZADD", keys.PUBLISHED, time.time(), f"{name}/{version}")
    try:
        _, *written = await scripts.run_async(client, _call(CHANGES, text, (command,), must_change=False))
        report(text, *written)
    except (RedisError, OSError) as error:
        _lose(text, error)


async def write_publications(client: redis.asyncio.Redis, versions: Sequence[tuple[str, bytes]]) -> None:
    """Write the entries of versions (`name/version`, entry) that appeared in the model repository, unless another process has."""
    config = settings()
    arguments: list[str | bytes] = []
    for name, text in versions:
        arguments += (name, text, text_digest(text))
    bounds = (config.audit_max_entries, config.audit_days * _DAY_MS)
    call = scripts.Call("publish", (keys.PUBLISHED,), (time.time(), _MAX_NOTED, *bounds, *arguments))
    answer = await scripts.run_async(client, call)
    for place, id, prev in zip(answer[::3], answer[1::3], answer[2::3], strict=True):
        report(versions[place][1], id, prev)


async def read(client: redis.asyncio.Redis, id: str) -> dict[str, Any] | None:
    """Return an entry of one of the chains, or None if it was dropped because of its age or the number of entries."""
    for stream in _STREAMS.values():
        if stored := _stored(await client.xrange(stream, id, id)):
            return stored[0].entry()
    return None


async def page(
    client: redis.asyncio.Redis,
    wanted: Callable[[dict[str, Any]], bool],
    *,
    cursor: str | None,
    count: int,
    since: float | None = None,
    until: float | None = None,
) -> tuple[list[dict[str, Any]], str | None]:
    """Return up to `count` entries of both chains, the newest first, and the cursor of the next page (None at the end).

    A page may be short or empty and still have a cursor.

    Args:
        client: A connection to Redis.
        wanted: The filter.
        cursor: The cursor that the page before returned.
        count: The size of the page.
        since: Skip entries older than this time (seconds since 1970).
        until: Skip entries newer than this time.
    """
    newest = f"({cursor.replace('_', '-')}" if cursor else "+" if until is None else _first_id(until)
    oldest = "-" if since is None else _first_id(since)
    entries: list[dict[str, Any]] = []
    last, looked = cursor, 0
    while looked < _LOOKED_AT:
        stored = [item for stream in _STREAMS.values() for item in await _newest(client, stream, newest, oldest)]
        # The newest of both streams together are among the newest of each.
        for item in sorted(stored, key=lambda item: order(item.id), reverse=True)[:_AT_ONCE]:
            last, newest = item.id.replace("-", "_"), f"({item.id}"
            decoded = readable("audit entry", item.id, [item], Stored.entry)
            if decoded is not None and wanted(decoded):
                entries.append(decoded)
                if len(entries) == count:
                    return entries, last
        if len(stored) < _AT_ONCE:
            return entries, None
        looked += _AT_ONCE
    return entries, last


async def chain(client: redis.asyncio.Redis, name: str) -> tuple[Head, AsyncIterator[list[Stored]]]:
    """Return the head of a chain, and its entries as they are now, the oldest first."""
    async with client.pipeline(transaction=True) as pipe:
        pipe.hget(keys.AUDIT_HEADS, name)
        pipe.xrevrange(_STREAMS[name], count=1)
        text, newest = await pipe.execute()
    return Head(*(text or b"").decode().split(" ")) if text else Head(), _entries(client, _STREAMS[name], newest)


def oldest_kept() -> str:
    """Return the ID before which entries may have been dropped because of their age."""
    return f"{time.time() * 1000 - settings().audit_days * _DAY_MS:.0f}-0"


def _first_id(time_s: float) -> str:
    """Return where a time is in a stream. IDs begin with 1970, and times before it are allowed."""
    return f"{max(0.0, time_s) * 1000:.0f}"


async def _newest(client: redis.asyncio.Redis, stream: str, newest: str, oldest: str) -> list[Stored]:
    return _stored(await client.xrevrange(stream, newest, oldest, count=_AT_ONCE))


async def _entries(client: redis.asyncio.Redis, stream: str, newest: Any) -> AsyncIterator[list[Stored]]:
    start = "-"
    while newest and (stored := _stored(await client.xrange(stream, start, newest[0][0], count=_AT_ONCE))):
        yield stored
        start = f"({stored[-1].id}"


def _stored(answer: Any) -> list[Stored]:
    return [Stored(id.decode(), fields.get(b"prev", b"").decode(errors="replace"), fields.get(b"entry", b"")) for id, fields in answer]


def _call(chain: str, text: bytes, commands: Sequence[_Command], must_change: bool) -> scripts.Call:
    parts = [part for command in commands for part in (len(command), *command)]
    return scripts.Call("changes", (), (chain, *entry(text), int(must_change), *parts))


def _lose(text: bytes, error: Exception) -> None:
    lost = orjson.loads(text)
    metrics.AUDIT_LOST.labels(lost["action"]).inc()
    log.error("Could not write an entry of the audit log: %s", error, extra={"audit": True, **lost})
