"""Versions under which an API process died: every API process keeps them off the direct lane."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson
import redis.asyncio

from app.store import keys, tables
from app.store.reading import readable

_TTL_S: Final = 7 * 24 * 3600
Key = tuple[str, str]
"""The name of a model, and a version of it."""


@dataclass(frozen=True, slots=True)
class DirectFailure:
    """The death of a process: the sha256 of the version that it was calling, and when it was noticed (seconds since 1970)."""

    sha256: str
    at: float


async def read(client: redis.asyncio.Redis) -> dict[Key, DirectFailure]:
    """Return the failures by version. Raises RedisError."""
    stored: Any = await client.hgetall(keys.DIRECT_FAILURES)
    failures: dict[Key, DirectFailure] = {}
    for field, text in stored.items():
        name, _, version = field.decode(errors="replace").partition("/")
        failure = readable("direct failure", f"{name}@{version}", [text], _decode)
        if failure is not None:
            failures[name, version] = failure
    return failures


async def record(client: redis.asyncio.Redis, key: Key, failure: DirectFailure) -> None:
    """Record a failure. Raises RedisError."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.hset(keys.DIRECT_FAILURES, "/".join(key), orjson.dumps(asdict(failure)))
        pipe.expire(keys.DIRECT_FAILURES, _TTL_S)
        tables.changed(pipe)
        await pipe.execute()


async def forget(client: redis.asyncio.Redis, versions: Iterable[Key]) -> None:
    """Drop the failures of versions. Raises RedisError."""
    if fields := ["/".join(key) for key in versions]:
        async with client.pipeline(transaction=False) as pipe:
            pipe.hdel(keys.DIRECT_FAILURES, *fields)
            tables.changed(pipe)
            await pipe.execute()


def _decode(text: bytes) -> DirectFailure:
    stored = orjson.loads(text)
    return DirectFailure(str(stored["sha256"]), float(stored["at"]))
