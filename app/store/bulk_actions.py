"""Records of bulk actions, and the list of the newest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Final

import orjson
import redis.asyncio

from app.core.api_keys import Caller, CallerType, Scope
from app.core.bulk_actions import PARENT, BulkAction, BulkFilter, BulkKind, BulkState
from app.core.jobs import State
from app.store import audit, keys, pages, parents
from app.store.reading import answers, fields_of, readable, required

_KIND: Final = "bulk action"


async def create(client: redis.asyncio.Redis, action: BulkAction, entry: bytes, *, keep_s: int, most: int) -> None:
    """Store a bulk action and an entry of the audit log, list it among the `most` newest, and have its first step done."""
    key = keys.bulk_action(action.id)
    # One transaction: an action that is never due would stay unfinished, and one without an entry would be done by nobody.
    await audit.change(
        client,
        entry,
        ("HSET", key, "spec", _spec(action), "progress", _progress(action)),
        ("EXPIRE", key, keep_s),
        ("ZADD", keys.BULK_ACTIONS, action.created_at, action.id),
        ("ZREMRANGEBYSCORE", keys.BULK_ACTIONS, "-inf", action.created_at - keep_s),
        ("ZREMRANGEBYRANK", keys.BULK_ACTIONS, 0, -most - 1),
        *parents.due(f"{PARENT}:{action.id}"),
    )


async def save(client: redis.asyncio.Redis, action: BulkAction, keep_s: int) -> None:
    """Store how far a bulk action is."""
    async with client.pipeline(transaction=True) as pipe:
        pipe.hset(keys.bulk_action(action.id), "progress", _progress(action))
        pipe.expire(keys.bulk_action(action.id), keep_s)
        await pipe.execute()


async def read(client: redis.asyncio.Redis, id: str) -> BulkAction | None:
    """Return a bulk action, or None if it does not exist."""
    return required(_KIND, id, [await fields_of(client, keys.bulk_action(id))], partial(_decode, id))


async def page(
    client: redis.asyncio.Redis, wanted: Callable[[BulkAction], bool], cursor: str | None, count: int
) -> tuple[list[BulkAction], str | None]:
    """Return the newest bulk actions after a cursor, and the cursor of the next page. Raises ValueError for an invalid cursor."""

    async def fetch(ids: Sequence[str]) -> list[BulkAction | None]:
        async with client.pipeline(transaction=False) as pipe:
            for id in ids:
                pipe.hgetall(keys.bulk_action(id))
            records = await answers(pipe)
        return [readable(_KIND, id, [fields], partial(_decode, id)) for id, fields in zip(ids, records, strict=True)]

    return await pages.page(client, keys.BULK_ACTIONS, fetch, wanted, cursor=cursor, count=count)


def _spec(action: BulkAction) -> bytes:
    caller = action.caller
    who = None if caller is None else [caller.id, caller.name, caller.owner, sorted(caller.scopes), caller.models, caller.pools,
                                       caller.key_owner, caller.type]  # fmt: skip
    parts = [action.kind, asdict(action.filter), action.to, action.owner, who, action.created_at, action.matching, action.complete]
    return orjson.dumps(parts)


def _progress(action: BulkAction) -> bytes:
    return orjson.dumps([action.state, action.cursor, action.done, action.skipped, action.error, action.finished_at])


def _decode(id: str, fields: dict[bytes, bytes]) -> BulkAction | None:
    if b"spec" not in fields:
        return None
    kind, filter, to, owner, who, created_at, matching, complete = orjson.loads(fields[b"spec"])
    state, cursor, done, skipped, error, finished_at = orjson.loads(fields[b"progress"])
    return BulkAction(
        id,
        BulkKind(kind),
        BulkFilter(**filter | {"state": State(filter["state"]) if filter["state"] else None}),
        to,
        owner,
        _caller(who),
        created_at,
        matching,
        complete,
        BulkState(state),
        cursor,
        done,
        skipped,
        error,
        finished_at,
    )


def _caller(stored: list[Any] | None) -> Caller | None:
    if stored is None:
        return None
    id, name, owner, scopes, models, pools, key_owner, kind = stored
    return Caller(id, name, owner, frozenset(map(Scope, scopes)), tuple(models), tuple(pools), key_owner=key_owner, type=CallerType(kind))
