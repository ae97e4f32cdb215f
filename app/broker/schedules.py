"""Schedules in Redis, in celery-redbeat's form, so that beat can die and another goes on.

A schedule is one of redbeat's entries; what is ours of it travels as the keyword arguments of a task that nobody sends:
beat puts a planned run into the follow-ups instead, and an API process begins it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio

from app.core.errors import ScheduleConflict, ScheduleNotFound
from app.core.schedules import Schedule
from app.patches.redbeat_entry import decode_definition, encode_definition, encode_meta
from app.store import keys
from app.store.reading import answers, decodable, readable, required

PARENT: Final = "schedule"
"""The kind of follow-up that begins a planned run: `schedule:NAME@TIME`."""
_PAUSED: Final = -1


@dataclass(frozen=True, slots=True)
class Known:
    """A schedule, whether it is paused, and when it runs next."""

    schedule: Schedule
    paused: bool
    next_at: float | None


async def create(client: redis.asyncio.Redis, schedule: Schedule, *, paused: bool, most: int) -> None:
    """Raises ScheduleConflict where there is one of that name, or `most` of them."""
    if await client.zcard(keys.SCHEDULES) >= most:
        raise ScheduleConflict(f"there are {most} schedules, which is the limit: delete one that nobody needs")
    key, now = keys.schedule(schedule.name), time.time()
    async with client.pipeline(transaction=True) as pipe:
        pipe.hsetnx(key, "definition", encode_definition(schedule, PARENT, paused=paused))
        pipe.hsetnx(key, "meta", encode_meta(now))
        pipe.zadd(keys.SCHEDULES, {key: _PAUSED if paused else schedule.after(now)}, nx=True)
        new, *_ = await pipe.execute()
    if not new:
        raise ScheduleConflict(f"there is a schedule {schedule.name!r}: delete it first, or choose another name", pointer="/name")


async def read(client: redis.asyncio.Redis, name: str) -> Known:
    """Raises ScheduleNotFound."""
    [found] = await _read(client, [name], required)
    if found is None:
        raise ScheduleNotFound(f"there is no schedule {name!r}")
    return found


async def every(client: redis.asyncio.Redis) -> list[Known]:
    """By name."""
    found: Any = await client.zrange(keys.SCHEDULES, 0, -1)
    prefix = keys.schedule("")
    return [one for one in await _read(client, sorted(key.removeprefix(prefix) for key in decodable(found))) if one]


async def pause(client: redis.asyncio.Redis, name: str, *, paused: bool) -> Known:
    """Pauses a schedule, or lets it go on from now: what would have run meanwhile is not missed. Raises ScheduleNotFound."""
    before = await read(client, name)
    if before.paused != paused:
        key, now = keys.schedule(name), time.time()
        async with client.pipeline(transaction=True) as pipe:
            pipe.hset(key, mapping={"definition": encode_definition(before.schedule, PARENT, paused=paused), "meta": encode_meta(now)})
            pipe.zadd(keys.SCHEDULES, {key: _PAUSED if paused else before.schedule.after(now)})
            await pipe.execute()
    return await read(client, name)


async def delete(client: redis.asyncio.Redis, name: str) -> None:
    """With its history. A run that has begun goes on."""
    key = keys.schedule(name)
    async with client.pipeline(transaction=True) as pipe:
        pipe.zrem(keys.SCHEDULES, key)
        pipe.delete(key, keys.runs(name))
        await pipe.execute()


async def note(client: redis.asyncio.Redis, name: str, run: dict[str, Any], keep: int) -> None:
    """What became of the run that was planned for `run["planned"]`: noted once."""
    async with client.pipeline(transaction=True) as pipe:
        add_note(pipe, name, run, keep)
        await pipe.execute()


def add_note(pipe: Any, name: str, run: dict[str, Any], keep: int) -> None:
    """The same in a pipeline."""
    pipe.zadd(keys.runs(name), {json.dumps(run, sort_keys=True): run["planned"]})
    pipe.zremrangebyrank(keys.runs(name), 0, -keep - 1)


async def history(client: redis.asyncio.Redis, name: str, count: int) -> list[dict[str, Any]]:
    """The latest runs first."""
    found: Any = await client.zrange(keys.runs(name), 0, count - 1, desc=True)
    return [run for one in found if (run := readable("schedule run", name, [one], _run)) is not None]


async def beats(client: redis.asyncio.Redis) -> bool:
    """Is there a beat that fires?"""
    return bool(await client.exists(keys.BEAT))


async def _read(client: redis.asyncio.Redis, names: list[str], decode: Callable[..., Known | None] = readable) -> list[Known | None]:
    async with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hget(keys.schedule(name), "definition")
            pipe.zscore(keys.SCHEDULES, keys.schedule(name))
        found = await answers(pipe)
    read = zip(names, found[::2], found[1::2], strict=True)
    return [decode("schedule", name, [text, score], _known) for name, text, score in read]


def _run(text: bytes) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict) or not isinstance(found.get("planned"), int | float):
        raise ValueError("it has no planned time")
    return found


def _known(text: bytes | None, score: float | None) -> Known | None:
    """None where there is no such schedule."""
    if text is None:
        return None
    schedule, paused = decode_definition(text)
    return Known(schedule, paused, None if score is None or score < 0 else score)
