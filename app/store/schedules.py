"""Schedules in Redis, in celery-redbeat's format, so that any beat process can take over from another.

A schedule is one of redbeat's entries. The `Schedule` itself is stored as the keyword arguments of a task that is never sent:
beat marks the planned run as due in `keys.RECONCILE`, and an API process starts it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import redis.asyncio
from redis.exceptions import WatchError

from app.core.errors import ScheduleConflict
from app.core.schedules import PARENT, Schedule
from app.store import audit, keys
from app.store.reading import answers, decodable, readable, required

_PAUSED: Final = -1


@dataclass(frozen=True, slots=True)
class StoredSchedule:
    """A schedule, whether it is paused, and when it runs next (None: paused).

    Attributes:
        id: Its name, with the mark of its owner before it (see `app.core.owners`). One of an earlier release has no mark.
    """

    id: str
    schedule: Schedule
    paused: bool
    next_at: float | None


async def create(client: redis.asyncio.Redis, id: str, schedule: Schedule, entry: bytes, *, paused: bool, most: int) -> None:
    """Store a new schedule, and an entry of the audit log. Raises ScheduleConflict if the name is taken, or if there are `most` schedules already."""
    if await client.zcard(keys.SCHEDULES) >= most:
        raise ScheduleConflict(f"The limit of {most} schedules is reached. Delete an unused schedule.")
    key, now = keys.schedule(id), time.time()
    new = await audit.change(
        client,
        entry,
        ("HSETNX", key, "definition", definition(id, schedule, paused)),
        ("HSETNX", key, "meta", meta(now)),
        ("ZADD", keys.SCHEDULES, "NX", _PAUSED if paused else schedule.after(now), key),
    )
    if not new:
        raise conflict(schedule)


def conflict(schedule: Schedule) -> ScheduleConflict:
    """Return the error for a schedule whose owner has another one of the same name."""
    return ScheduleConflict(f"Schedule {schedule.name!r} exists already. Delete it first, or choose another name.", pointer="/name")


async def read(client: redis.asyncio.Redis, id: str) -> StoredSchedule | None:
    """Return the schedule of that ID, or None. Raises RecordUnreadable."""
    [stored] = await _read(client, [id], required)
    return stored


async def every(client: redis.asyncio.Redis) -> list[StoredSchedule]:
    """Return all schedules, sorted by their names."""
    members: Any = await client.zrange(keys.SCHEDULES, 0, -1)
    prefix = keys.schedule("")
    ids = [key.removeprefix(prefix) for key in decodable(members)]
    return sorted(filter(None, await _read(client, ids)), key=lambda stored: (stored.schedule.name, stored.id))


async def pause(client: redis.asyncio.Redis, before: StoredSchedule, entry: bytes, *, paused: bool) -> None:
    """Pause a schedule, or resume it from now on: runs planned while it was paused are not missed."""
    if before.paused != paused:
        key, now = keys.schedule(before.id), time.time()
        stored = ("HSET", key, "definition", definition(before.id, before.schedule, paused), "meta", meta(now))
        planned = ("ZADD", keys.SCHEDULES, _PAUSED if paused else before.schedule.after(now), key)
        await audit.change(client, entry, stored, planned, must_change=False)


async def delete(client: redis.asyncio.Redis, id: str, entry: bytes) -> None:
    """Delete a schedule and its history. A run that has started continues."""
    key = keys.schedule(id)
    await audit.change(client, entry, ("DEL", key), ("ZREM", keys.SCHEDULES, key), ("DEL", keys.runs(id)))


def start_run(client: redis.Redis, id: str, schedule: Schedule, planned: float, last: float, *, missed: bool, keep: int) -> bool:
    """Make a planned run due, or note that it was missed, and set the time of the next one, in one transaction.

    Args:
        client: Connection to Redis.
        id: The ID of the schedule.
        schedule: The schedule.
        planned: The planned time of the run, in seconds since 1970.
        last: The time after which the next run is planned.
        missed: The run was missed and does not start.
        keep: The number of runs that the history keeps.

    Returns:
        False if the schedule was changed or deleted meanwhile. Nothing is written then.
    """
    key = keys.schedule(id)
    pipe: Any
    with client.pipeline() as pipe:
        pipe.watch(key)
        if not pipe.exists(key):
            return False
        pipe.multi()
        if missed:
            add_note(pipe, id, {"planned": planned, "missed": True}, keep)
        else:
            pipe.zadd(keys.RECONCILE, {f"{PARENT}:{id}@{planned}": 0})
            pipe.publish(keys.RECONCILE_DUE, "due")
        pipe.hset(key, "meta", meta(last))
        pipe.zadd(keys.SCHEDULES, {key: schedule.after(last)})
        try:
            pipe.execute()
        except WatchError:
            return False
    return True


async def note(client: redis.asyncio.Redis, id: str, run: dict[str, Any], keep: int) -> None:
    """Add a run to the schedule's history, which keeps the latest `keep`. `run["planned"]` is its planned time."""
    async with client.pipeline(transaction=True) as pipe:
        add_note(pipe, id, run, keep)
        await pipe.execute()


def add_note(pipe: Any, id: str, run: dict[str, Any], keep: int) -> None:
    """Do what `note` does, as commands of a pipeline."""
    pipe.zadd(keys.runs(id), {json.dumps(run, sort_keys=True): run["planned"]})
    pipe.zremrangebyrank(keys.runs(id), 0, -keep - 1)


async def history(client: redis.asyncio.Redis, id: str, count: int) -> list[dict[str, Any]]:
    """Return the `count` latest runs, the latest first."""
    members: Any = await client.zrange(keys.runs(id), 0, count - 1, desc=True)
    return [run for member in members if (run := readable("schedule run", id, [member], _run)) is not None]


async def beats(client: redis.asyncio.Redis) -> bool:
    """Return whether a beat process is running schedules."""
    return bool(await client.exists(keys.BEAT))


def meta(last_run_at: float) -> str:
    """Return redbeat's record of the last run (seconds since 1970). The next run is the first one planned after it."""
    at = datetime.fromtimestamp(last_run_at, UTC)
    parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
    return json.dumps({"last_run_at": {"__type__": "datetime", **{part: getattr(at, part) for part in parts}, "timezone": 0.0}})


def definition(id: str, schedule: Schedule, paused: bool) -> str:
    """Return redbeat's definition of an entry. Its interval is never used: beat asks the `Schedule` when to run."""
    return json.dumps(
        {
            "name": id,
            "task": PARENT,
            "args": [],
            "kwargs": schedule.as_dict(),
            "options": {},
            "schedule": {"__type__": "interval", "every": float(schedule.every_s or 60), "relative": False},
            "enabled": not paused,
        }
    )


def decode_definition(text: bytes) -> tuple[Schedule, bool]:
    """Return the schedule of a stored definition, and whether it is paused."""
    stored = json.loads(text)
    return Schedule.from_dict(stored["kwargs"]), not stored["enabled"]


def request_of(definition: bytes) -> tuple[str, dict[str, Any]]:
    """Return the name of a schedule and the request that it repeats, from its stored definition."""
    schedule = json.loads(definition)["kwargs"]
    return schedule["name"], schedule["request"]


async def _read(
    client: redis.asyncio.Redis, ids: list[str], decode: Callable[..., StoredSchedule | None] = readable
) -> list[StoredSchedule | None]:
    async with client.pipeline(transaction=False) as pipe:
        for id in ids:
            pipe.hget(keys.schedule(id), "definition")
            pipe.zscore(keys.SCHEDULES, keys.schedule(id))
        fields = await answers(pipe)
    read = zip(ids, fields[::2], fields[1::2], strict=True)
    return [decode("schedule", id, [text, score], partial(_decode, id)) for id, text, score in read]


def _run(text: bytes) -> dict[str, Any]:
    run = json.loads(text)
    if not isinstance(run, dict) or not isinstance(run.get("planned"), int | float):
        raise ValueError("it has no planned time")
    return run


def _decode(id: str, text: bytes | None, score: float | None) -> StoredSchedule | None:
    if text is None:
        return None
    schedule, paused = decode_definition(text)
    return StoredSchedule(id, schedule, paused, None if score is None or score < 0 else score)
