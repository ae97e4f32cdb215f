"""Versions that failed their smoke test, kept beyond the worker that found out: the next one does not wait for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import redis

from app.store import keys

_TTL_S: Final = 7 * 24 * 3600
Key = tuple[str, str]
"""The name of a model, and a version of it."""


def read(client: redis.Redis, pool: str) -> dict[Key, str]:
    """Return the broken versions of a pool, and the stamp that their files had. Raises RedisError."""
    stored: Any = client.hgetall(keys.broken_versions(pool))
    broken: dict[Key, str] = {}
    for field, stamp in stored.items():
        name, _, version = field.decode(errors="replace").partition("/")
        broken[name, version] = stamp.decode(errors="replace")
    return broken


def update(client: redis.Redis, pool: str, broken: Mapping[Key, str], mended: Iterable[Key]) -> None:
    """Record the stamps of broken versions, and drop those that are served now or gone. Raises RedisError."""
    key = keys.broken_versions(pool)
    with client.pipeline(transaction=False) as pipe:
        if broken:
            pipe.hset(key, mapping={"/".join(version): stamp for version, stamp in broken.items()})
        if dropped := ["/".join(version) for version in mended]:
            pipe.hdel(key, *dropped)
        pipe.expire(key, _TTL_S)
        pipe.execute()
