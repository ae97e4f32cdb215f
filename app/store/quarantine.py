"""Members of indices that could not be handled, and keys of a wrong type: removed, noted and kept for a while.

A loop takes members from a sorted set. An invalid member would stop it, or come back forever. `Quarantine.handle` tries a
member again with growing delays, removes it after the last attempt, and keeps a note that `celeriac doctor` shows.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
import redis
import redis.asyncio
from redis.exceptions import ResponseError

from app import metrics
from app.core.quotas import DAY_S
from app.loops import Loop, unavailable
from app.settings import Settings
from app.store import keys, scripts

log = logging.getLogger(__name__)
_FIRST_S: Final = 5.0
_LONGEST_S: Final = 300.0
_LONGEST_MEMBER: Final = 200


@dataclass(frozen=True, slots=True)
class Note:
    """A note on one member: how often it failed, and how it failed last."""

    index: str
    member: str
    error: str
    failures: int
    failed_at: float


class Quarantine:
    """The quarantine in Redis. Bounded by `max_quarantine` and `quarantine_ttl_s`."""

    def __init__(self, client: redis.asyncio.Redis, settings: Settings) -> None:
        """Use the limits of the settings."""
        self._client = client
        self._settings = settings
        self._noted: set[tuple[str, bytes]] = set()
        self.suspicious = False
        """Whether an error since the last check may be due to a key of a wrong type."""

    def suspect(self, error: BaseException) -> None:
        """Look at an error: if a key of a wrong type may be the cause, the maintenance checks all types in its next turn."""
        if isinstance(error, ResponseError) and not unavailable(error):
            self.suspicious = True

    async def handle(self, loop: Loop, index: str, member: bytes, work: Callable[[str], Awaitable[None]], *, attempts: int) -> None:
        """Handle one member. A failure is reported; the member is due again later, or set aside after `attempts` (0: never).

        Args:
            loop: The loop that reports failures.
            index: Key of the sorted set that holds the member, by the time when it is due.
            member: The member.
            work: Handles the member. Its error is the member's, unless Redis is unavailable.
            attempts: How often the member is tried before it is set aside; 0 means forever.
        """
        with loop.item(f"{_text(member)} of {index}"):
            try:
                text = member.decode()
            except UnicodeDecodeError as error:
                await self.aside(index, member, error, attempts=1)
                raise
            try:
                await work(text)
            except Exception as error:
                if not unavailable(error):
                    await self.aside(index, member, error, attempts=attempts)
                raise
            if (index, member) in self._noted:
                await self._forget(index, member)

    async def aside(self, index: str, member: bytes, error: BaseException, *, attempts: int) -> None:
        """Note a failure of a member, and delay or remove it."""
        settings = self._settings
        note = orjson.dumps([index, _text(member), f"{type(error).__name__}: {str(error)[:500]}", time.time()], default=str)
        call = scripts.Call(
            "aside",
            (keys.QUARANTINE, keys.QUARANTINE_NOTES, index),
            (_field(index, member), member, note, attempts, _FIRST_S, _LONGEST_S, settings.max_quarantine, settings.quarantine_ttl_s),
        )
        failures, removed = await scripts.run_async(self._client, call)
        self._noted.add((index, member))
        while len(self._noted) > settings.max_quarantine:
            self._noted.pop()
        if removed:
            metrics.QUARANTINED.labels(index.removeprefix(keys.PREFIX)).inc()
            log.error("Set aside %s of %s after %d failed attempts: %s", _text(member), index, failures, error)

    async def check_types(self, queues: Mapping[str, Iterable[str]]) -> None:
        """Move keys aside that hold another type than they must. Nothing could use them, and every command on them would fail."""
        self.suspicious = False
        await self.check_keys(key_types(queues))

    async def check_keys(self, expected: Mapping[str, str]) -> None:
        """Do what `check_types` does for other keys. `expected` is the type of each."""
        call = scripts.Call("types", tuple(expected), (keys.ASIDE, self._settings.quarantine_ttl_s, *expected.values()))
        moved: list[bytes] = await scripts.run_async(self._client, call)
        for key, kind in zip(moved[::2], moved[1::2], strict=True):
            name = key.decode(errors="replace")
            metrics.QUARANTINED.labels("key").inc()
            log.error("Moved the Redis key %s to %s%s: it is a %s and must be a %s.", name, keys.ASIDE, name, kind.decode(), expected[name])

    async def count(self) -> int:
        """Notes that are kept."""
        return int(await self._client.zcard(keys.QUARANTINE))

    async def _forget(self, index: str, member: bytes) -> None:
        self._noted.discard((index, member))
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.zrem(keys.QUARANTINE, _field(index, member))
            pipe.hdel(keys.QUARANTINE_NOTES, _field(index, member))
            await pipe.execute()


def key_types(queues: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Return the type of every key that does not belong to one record. `queues` are those of each pool."""
    today = int(time.time() // DAY_S)
    sorted_sets = [
        keys.JOBS, keys.DEAD, keys.TRAININGS, keys.SCHEDULES, keys.RECONCILE, keys.EVENTS, keys.EXPIRING, keys.WEBHOOK_DELIVERIES, keys.BATCHES,
        keys.QUARANTINE, keys.API_KEYS, keys.ADMIN_KEYS, keys.OWNERS, keys.PUBLISHED, keys.CONCURRENCY, keys.STATS, keys.TRACES,
        keys.BULK_ACTIONS,
    ]  # fmt: skip
    hashes = [
        keys.MANIFESTS, keys.WORKERS, keys.SERVING, keys.SERVED_BEFORE, keys.FAILED_PROMOTIONS, keys.WEBHOOKS, keys.QUARANTINE_NOTES,
        keys.POOL_STATES, keys.AUDIT_HEADS, keys.DIRECT_FAILURES, keys.PAUSED_MODELS, keys.OPEN_BYTES, keys.run_seconds(today), keys.usage_places(today),
        keys.TRACES_STATE, keys.ROLLOUTS,
    ]  # fmt: skip
    lists = []
    for pool, names in queues.items():
        unacked, index = keys.held(pool)
        hashes += [unacked, keys.broken_versions(pool), keys.paused(pool)]
        sorted_sets += [index, keys.batches_out(pool), keys.batches_active(pool)]
        for queue in names:
            lists.append(keys.list_of(queue))
            hashes += [keys.counts(queue), keys.backlog(queue), keys.fairness(queue), keys.held_back(queue)]
            sorted_sets += [
                keys.deliveries(queue),
                keys.running(queue),
                keys.delayed(queue),
                keys.turns(queue),
                keys.charged(queue),
                keys.moved(queue),
            ]
    strings = [keys.MAINTENANCE, keys.WEBHOOK_SECRET, keys.BEAT, keys.usage_figures(today)]
    kinds = {
        "zset": sorted_sets,
        "hash": hashes,
        "list": lists,
        "string": strings,
        "set": [keys.WITHDRAWN, keys.WAITING_MODELS],
        "stream": [keys.AUDIT, keys.AUDIT_REFUSALS],
    }
    return {key: kind for kind, listed in kinds.items() for key in listed}


def read(client: redis.Redis, most: int) -> list[Note]:
    """Return notes, the latest first."""
    fields: Any = client.zrange(keys.QUARANTINE, 0, most - 1, desc=True)
    notes: Any = client.hmget(keys.QUARANTINE_NOTES, fields) if fields else []
    listed = []
    for text in filter(None, notes):
        failures, _, note = text.partition(b"\n")
        index, member, error, failed_at = orjson.loads(note)
        listed.append(Note(index, member, error, int(failures), failed_at))
    return listed


def _field(index: str, member: bytes) -> bytes:
    return index.encode() + b" " + member


def _text(member: bytes) -> str:
    return member.decode(errors="backslashreplace")[:_LONGEST_MEMBER]
