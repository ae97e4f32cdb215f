"""Which version workers serve for each alias, and which promotions failed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import orjson
import redis
import redis.asyncio

from app.core.promotions import Failure
from app.store import audit, keys, scripts, tables

_KEEP_FAILURE_S: Final = 7 * 24 * 3600.0
Slot = tuple[str, str]
"""A model's name and an alias of it; "" is the bare name."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A snapshot of served versions, those that were served before them, and failed promotions, by model and alias."""

    versions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    previous: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    failures: Mapping[str, Mapping[str, Failure]] = field(default_factory=dict)

    def of(self, name: str) -> Mapping[str, str]:
        """Return the version served last for each alias of a model."""
        return self.versions.get(name, {})

    def previous_of(self, name: str) -> Mapping[str, str]:
        """Return the version that each alias of a model led to before."""
        return self.previous.get(name, {})

    def get(self, slot: Slot) -> str | None:
        """Return the version served last for an alias, or None."""
        return self.of(slot[0]).get(slot[1])

    def failures_of(self, name: str) -> Mapping[str, Failure]:
        """Return the last failed promotion of each alias of a model."""
        return self.failures.get(name, {})


def read(client: redis.Redis) -> Serving:
    """Return the current snapshot. Raises RedisError."""
    with client.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.SERVING)
        pipe.hgetall(keys.SERVED_BEFORE)
        pipe.hgetall(keys.FAILED_PROMOTIONS)
        return _decode(*pipe.execute())


async def read_async(client: redis.asyncio.Redis) -> Serving:
    """Return the current snapshot. Raises RedisError."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.SERVING)
        pipe.hgetall(keys.SERVED_BEFORE)
        pipe.hgetall(keys.FAILED_PROMOTIONS)
        return _decode(*await pipe.execute())


def served(client: redis.Redis, slot: Slot, version: str, entry: bytes = b"") -> None:
    """Record the version that a worker serves now for an alias, and an entry of the audit log if no other worker has recorded it."""
    arguments = (_field(slot), version, *(audit.entry(entry) if entry else scripts.NO_ENTRY))
    answer = scripts.run(client, scripts.Call("serve", (keys.SERVING, keys.SERVED_BEFORE), arguments))
    if answer is not None:
        audit.report(entry, *answer)


def failed(client: redis.Redis, slot: Slot, failure: Failure) -> None:
    """Record that a worker could not serve the version of a promotion."""
    with client.pipeline(transaction=False) as pipe:
        pipe.hset(keys.FAILED_PROMOTIONS, _field(slot), orjson.dumps(asdict(failure)))
        tables.changed(pipe)
        pipe.execute()


def forget(client: redis.Redis, slots: Iterable[Slot]) -> None:
    """Drop the entries of aliases and models that no longer exist."""
    names = [_field(slot) for slot in slots]
    if names:
        with client.pipeline(transaction=False) as pipe:
            pipe.hdel(keys.SERVING, *names)
            pipe.hdel(keys.SERVED_BEFORE, *names)
            pipe.hdel(keys.FAILED_PROMOTIONS, *names)
            pipe.hdel(keys.ROLLOUTS, *names)
            tables.changed(pipe)
            pipe.execute()


def _field(slot: Slot) -> str:
    return "/".join(slot)


def _decode(versions: Mapping[bytes, bytes], previous: Mapping[bytes, bytes], failures: Mapping[bytes, bytes]) -> Serving:
    oldest = time.time() - _KEEP_FAILURE_S
    failed: dict[str, dict[str, Failure]] = {}
    for name, text in failures.items():
        model, _, alias = name.decode(errors="replace").partition("/")
        if (failure := _failure(text)) and failure.at > oldest:
            failed.setdefault(model, {})[alias] = failure
    return Serving(_by_model(versions), _by_model(previous), failed)


def _by_model(versions: Mapping[bytes, bytes]) -> dict[str, dict[str, str]]:
    by_model: dict[str, dict[str, str]] = {}
    for name, version in versions.items():
        model, _, alias = name.decode(errors="replace").partition("/")
        by_model.setdefault(model, {})[alias] = version.decode(errors="replace")
    return by_model


def _failure(text: bytes) -> Failure | None:
    """Return None for an invalid value: it must not hide the others."""
    try:
        stored: Any = orjson.loads(text)
        return Failure(str(stored["id"]), str(stored["reason"]), float(stored["at"]))
    except (ValueError, TypeError, KeyError):
        return None
