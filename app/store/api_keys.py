"""API keys in Redis: a hash per key and an index. A record holds hashes of secrets, never a secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from enum import StrEnum
from typing import Any, Final

import orjson
import redis.asyncio

from app.core.api_keys import ApiKey, Scope
from app.core.rate_limits import NAMES
from app.store import audit, keys, scripts
from app.store.reading import answers, decodable, fields_of, readable, required

_KIND: Final = "API key"
_FIELDS: Final = ("record", "revision", "last_used_at")
_APART: Final = ("last_used_at", "in_file", "revision")


class Written(StrEnum):
    """What became of a change."""

    OK = "ok"
    EXISTS = "exists"
    """The ID is taken."""
    FULL = "full"
    """The number of keys is at its limit."""
    MISSING = "missing"
    """The key does not exist."""
    CHANGED = "changed"
    """The key was changed since it was read. Read it again."""
    LAST = "last"
    """No other usable admin key would remain."""


async def read(client: redis.asyncio.Redis, id: str) -> ApiKey | None:
    """Return a key, or None. Raises RecordUnreadable."""
    return required(_KIND, id, [await fields_of(client, keys.api_key(id))], lambda fields: _decode(id, fields))


async def ids(client: redis.asyncio.Redis) -> frozenset[str]:
    """Return the IDs of all keys."""
    members: Any = await client.zrange(keys.API_KEYS, 0, -1)
    return frozenset(decodable(members))


async def every(client: redis.asyncio.Redis) -> list[ApiKey]:
    """Return all keys, the oldest first."""
    members: Any = await client.zrange(keys.API_KEYS, 0, -1)
    ids = decodable(members)
    async with client.pipeline(transaction=False) as pipe:
        for id in ids:
            pipe.hgetall(keys.api_key(id))
        records = await answers(pipe)
    decoded = (readable(_KIND, id, [fields], lambda fields, id=id: _decode(id, fields)) for id, fields in zip(ids, records, strict=True))
    return [key for key in decoded if key is not None]


async def has_admin(client: redis.asyncio.Redis, now: float) -> bool:
    """Return whether a key with the scope `admin` is neither disabled nor expired."""
    return bool(await client.zrangebyscore(keys.ADMIN_KEYS, f"({now}", "+inf", 0, 1))


async def create(client: redis.asyncio.Redis, key: ApiKey, *, now: float, most: int, entry: bytes = b"") -> Written:
    """Store a new key, unless there are `most` keys. `entry` is that of the audit log."""
    return await _write(client, "create", key, now, entry, most=most)


async def change(client: redis.asyncio.Redis, key: ApiKey, *, now: float, keep_admin: bool, entry: bytes = b"") -> Written:
    """Store a key that was read and changed. With `keep_admin`, the last usable admin key is not disabled."""
    return await _write(client, "change", key, now, entry, keep_admin=keep_admin)


async def delete(client: redis.asyncio.Redis, key: ApiKey, *, now: float, keep_admin: bool, entry: bytes = b"") -> Written:
    """Delete a key that was read. With `keep_admin`, the last usable admin key is not deleted."""
    return await _write(client, "delete", key, now, entry, keep_admin=keep_admin)


async def touch(client: redis.asyncio.Redis, used: Mapping[str, float]) -> None:
    """Record when keys were last used."""
    arguments = [part for item in used.items() for part in item]
    await scripts.run_async(client, scripts.Call("touch_api_keys", (), tuple(arguments)))


async def _write(
    client: redis.asyncio.Redis, mode: str, key: ApiKey, now: float, entry: bytes, *, most: int = 0, keep_admin: bool = False
) -> Written:
    until = "" if mode == "delete" or key.disabled_at is not None or Scope.ADMIN not in key.granted else key.expires_at or "+inf"
    call = scripts.Call(
        "write_api_key",
        (keys.api_key(key.id), keys.API_KEYS, keys.ADMIN_KEYS),
        (
            *(mode, key.id, key.revision, _encode(key), key.created_at, until, now, most, int(keep_admin)),
            *(audit.entry(entry) if entry else scripts.NO_ENTRY),
        ),
    )
    written, *answer = await scripts.run_async(client, call)
    if answer:
        audit.report(entry, *answer)
    return Written(written.decode())


def _encode(key: ApiKey) -> bytes:
    fields = {name: value for name, value in asdict(key).items() if name not in _APART}
    return orjson.dumps(fields | {name: fields[name].hex() for name in ("hash", "previous_hash")})


def _decode(id: str, fields: Mapping[bytes, bytes]) -> ApiKey | None:
    """Return None if the key does not exist."""
    record, revision, used = (fields.get(name.encode()) for name in _FIELDS)
    if record is None:
        return None
    stored: dict[str, Any] = orjson.loads(record)
    for name in ("hash", "previous_hash"):
        stored[name] = bytes.fromhex(stored[name])
    stored["scopes"] = tuple(map(Scope, stored["scopes"]))
    key = ApiKey(**{**stored, "models": tuple(stored["models"]), "pools": tuple(stored["pools"])})
    if key.id != id:
        raise ValueError(f"the record belongs to {key.id}")
    if unknown := key.limits.keys() - set(NAMES):
        raise ValueError(f"unknown limits: {', '.join(unknown)}")
    key.granted  # noqa: B018 an unknown role is an error of the record
    return replace(key, revision=int(revision or 0), last_used_at=float(used) if used else None)
