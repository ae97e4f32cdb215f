"""Beat on a real Redis: what is due is put among the parents to reconcile, once, by one of several beats."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.exceptions import LockError

from app.beat.main import Beat
from app.beat.scheduler import Scheduler
from app.core.audit import Action, draft
from app.core.schedules import Schedule
from app.loops import Loops
from app.services.requests.schedules import Creation
from app.settings import settings
from app.store import keys, schedules

Make = Callable[..., Any]
HOUR = 3600


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as connection:
        yield connection


@pytest.fixture
def beat(client: redis.Redis) -> Scheduler:
    scheduler = Scheduler(client, settings())
    assert scheduler.leads()
    return scheduler


def schedule(**more: Any) -> Schedule:
    body = {"name": "often", "every_s": 600, "run": {"training": {}}, **more}
    return Creation.parse(body).checked(time.time() - 100 * HOUR)


async def make(redis_url: str, planned: Schedule, *, last_s: float, paused: bool = False) -> None:
    """Create a schedule that beat checked last `last_s` seconds ago."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        await schedules.create(client, planned.name, planned, draft(Action.SCHEDULE_CREATED), paused=paused, most=10)
        last = time.time() - last_s
        await client.hset(keys.schedule(planned.name), "meta", schedules.meta(last))
        if not paused:
            await client.zadd(keys.SCHEDULES, {keys.schedule(planned.name): planned.after(last)})


async def history(redis_url: str) -> list[dict[str, Any]]:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        return await schedules.history(client, "often", 10)


def due(client: redis.Redis) -> list[str]:
    members: Any = client.zrange(keys.RECONCILE, 0, -1)
    return list(members)


async def test_a_run_that_is_due_is_put_into_the_follow_ups_once(beat: Scheduler, client: redis.Redis, redis_url: str) -> None:
    often = schedule()
    now = time.time()
    # The planned time is 5 s ago, and not at the edge of another.
    late = (now - often.created_at) % 600
    await make(redis_url, Schedule.from_dict({**often.as_dict(), "created_at": often.created_at + int(late) - 5}), last_s=30)
    beat.tick()
    [first] = due(client)
    assert first.startswith("schedule:often@")
    assert 4 <= now - int(first.partition("@")[2]) <= 7
    beat.tick()
    assert due(client) == [first]
    assert float(client.zscore(keys.SCHEDULES, keys.schedule("often")) or 0) > now + 590


async def test_what_is_not_due_waits(beat: Scheduler, client: redis.Redis, redis_url: str) -> None:
    await make(redis_url, schedule(cron="0 0 29 2 *", every_s=None), last_s=0)
    beat.tick()
    assert due(client) == []


async def test_missed_runs_are_left_out_and_noted(beat: Scheduler, client: redis.Redis, redis_url: str) -> None:
    often = schedule(every_s=HOUR)
    often = Schedule.from_dict({**often.as_dict(), "created_at": int(time.time()) - 100 * HOUR - 1800})
    await make(redis_url, often, last_s=5 * HOUR)
    beat.tick()
    assert due(client) == []
    [missed] = await history(redis_url)
    assert (missed["missed"], missed["planned"]) == (True, often.after(time.time() - 5 * HOUR))
    assert float(client.zscore(keys.SCHEDULES, keys.schedule("often")) or 0) > time.time()


async def test_one_run_makes_up_for_all_that_were_missed(beat: Scheduler, client: redis.Redis, redis_url: str) -> None:
    often = schedule(missed="run_once")
    await make(redis_url, often, last_s=5 * HOUR)
    planned = often.after(time.time() - 5 * HOUR)
    beat.tick()
    beat.tick()
    assert due(client) == [f"schedule:often@{planned}"]


async def test_a_paused_schedule_does_not_run(beat: Scheduler, client: redis.Redis, redis_url: str) -> None:
    await make(redis_url, schedule(), last_s=HOUR, paused=True)
    beat.tick()
    assert due(client) == []
    async with redis.asyncio.Redis.from_url(redis_url) as asynchronous:
        paused = await schedules.read(asynchronous, "often")
        assert paused is not None
        await schedules.pause(asynchronous, paused, draft(Action.SCHEDULE_RESUMED), paused=False)
        resumed = await schedules.read(asynchronous, "often")
    assert resumed is not None
    assert not resumed.paused
    assert (resumed.next_at or 0) > time.time()


async def test_one_beat_fires_and_another_takes_over(beat: Scheduler, client: redis.Redis) -> None:
    other = Scheduler(client, settings())
    assert not other.leads()
    beat.close()
    assert other.leads()
    assert not beat.leads()


async def test_a_beat_that_lost_the_lead_does_not_fire(beat: Scheduler, client: redis.Redis, redis_url: str) -> None:
    await make(redis_url, schedule(missed="run_once"), last_s=HOUR)
    client.delete(keys.BEAT)
    assert Scheduler(client, settings()).leads()
    with pytest.raises(LockError):
        beat.tick()
    assert due(client) == []


async def test_a_schedule_that_is_deleted_is_forgotten(beat: Scheduler, client: redis.Redis, redis_url: str) -> None:
    await make(redis_url, schedule(missed="run_once"), last_s=HOUR)
    entry = next(iter(beat.schedule.values()))
    async with redis.asyncio.Redis.from_url(redis_url) as asynchronous:
        await schedules.delete(asynchronous, "often", draft(Action.SCHEDULE_DELETED))
    # It had been read before.
    beat.start_run(entry)
    assert due(client) == []
    assert client.keys("*often*") == []


@pytest.mark.parametrize("broken", ["type", "brackets", "no UTF-8", "wrong fields", "member"])
async def test_a_schedule_that_cannot_be_read_costs_no_other_its_run(
    beat: Scheduler, client: redis.Redis, redis_url: str, broken: str
) -> None:
    await make(redis_url, schedule(missed="run_once"), last_s=HOUR)
    bad = keys.schedule("bad")
    with redis.Redis.from_url(redis_url) as raw:
        raw.zadd(keys.SCHEDULES, {b"\xff\xfe" if broken == "member" else bad: 0})
        if broken == "type":
            raw.rpush(bad, "x")
        elif broken == "brackets":
            raw.hset(bad, "definition", "[" * 200_000)
        elif broken == "no UTF-8":
            raw.hset(bad, "definition", b"\xff\xfe")
        elif broken == "wrong fields":
            raw.hset(bad, mapping={"definition": '{"kwargs": {"name": 1}}', "meta": "{}"})
    beat.tick()
    assert [parent.partition("@")[0] for parent in due(client)] == ["schedule:often"]
    assert "bad" in beat.loop.trouble or broken == "member"


def test_an_index_of_a_wrong_type_ends_no_beat(client: redis.Redis) -> None:
    loops = Loops(60, 120)
    loop = loops.add("test beat")
    process = Beat(Scheduler(client, settings(), loop), loops, loop)
    client.rpush(keys.SCHEDULES, "x")
    thread = threading.Thread(target=process.run)
    thread.start()
    end = time.monotonic() + 30
    while not loop.trouble and time.monotonic() < end:
        time.sleep(0.01)  # a thread of its own sets no event of ours
    assert "WRONGTYPE" in loop.trouble
    assert not process.ready()[0]
    assert process.live()[0]
    client.delete(keys.SCHEDULES)
    while not process.ready()[0] and time.monotonic() < end:
        time.sleep(0.01)
    assert process.ready()[0]
    process.stopping.set()
    thread.join(30)
    assert not thread.is_alive()
