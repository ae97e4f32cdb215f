"""The age rule of service tiers. A test is the worker: it takes messages from the queues in their order."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
import redis.asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.broker import names
from app.core.deliveries import Delivery
from app.core.tiers import Tier
from app.store import keys, scripts, tiers
from tests.examples import expensive
from tests.store.conftest import Store, succeeded

POOL = "default"
HIGH, DEFAULT, FLEX = (names.queue(POOL, tier) for tier in Tier)


def submit(store: Store, queue: str, *, ago: float = 0.0, **more: Any) -> Delivery:
    """A delivery whose jobs were submitted `ago` seconds ago."""
    sent: Delivery = store.submit(queue=queue, **more)
    if ago:
        for job in sent.jobs if sent.recorded else ():
            for field in ("created_at", "expires_at"):
                store.client.hincrbyfloat(keys.job(job), field, -ago)
        newest: Any = store.client.lindex(keys.list_of(queue), 0)
        message = json.loads(newest)
        message["headers"]["enqueued_at"] -= ago
        store.client.lset(keys.list_of(queue), 0, json.dumps(message))
    return sent


def move(url: str, tier: Tier, *, age_s: float = 60, unrecorded_s: float = 30, most: int = 100, target: int = 1000) -> int:
    async def once() -> int:
        above, before = names.above(POOL, tier)
        rule = tiers.AgeRule(age_s, unrecorded_s, silent_s=10)
        async with redis.asyncio.Redis.from_url(url) as client:
            return await tiers.move_up(client, names.queue(POOL, tier), above, before, rule, most=most, target=target)

    return asyncio.run(once())


def queued(store: Store, queue: str) -> list[str]:
    """The deliveries in a queue, the next one first."""
    messages: Any = store.client.lrange(keys.list_of(queue), 0, -1)
    return [json.loads(message)["headers"]["id"] for message in reversed(messages)]


def take(store: Store) -> tuple[str, str] | None:
    """The next delivery and the queue that its message names, after a worker has started it; None if every queue is empty."""
    for queue in names.queues(POOL):
        message: Any = store.client.rpop(keys.list_of(queue))
        if message is not None:
            parsed = json.loads(message)
            id, named = parsed["headers"]["id"], parsed["properties"]["delivery_info"]["routing_key"]
            scripts.run(store.client, scripts.start(named, id, "worker/1", keep=60, silent_s=0))
            return id, named
    return None


def counts(store: Store, queue: str) -> tuple[int, int]:
    entered, left = store.client.hmget(keys.counts(queue), "entered", "left")
    return int(entered or 0), int(left or 0)


@pytest.mark.parametrize(("tier", "queue", "above"), [(Tier.DEFAULT, DEFAULT, HIGH), (Tier.FLEX, FLEX, DEFAULT)])
def test_an_old_delivery_moves_to_the_end_of_the_queue_above(store: Store, redis_url: str, tier: Tier, queue: str, above: str) -> None:
    first = submit(store, above)
    old, young = submit(store, queue, ago=61, wait_s=1000), submit(store, queue, wait_s=1000)
    assert move(redis_url, tier) == 1
    assert (queued(store, above), queued(store, queue)) == ([first.id, old.id], [young.id])


def test_a_delivery_moves_after_half_of_the_time_that_its_job_may_wait(store: Store, redis_url: str) -> None:
    submit(store, HIGH)
    submit(store, DEFAULT, ago=9, wait_s=20)
    urgent = submit(store, DEFAULT, ago=11, wait_s=20)
    assert move(redis_url, Tier.DEFAULT) == 1
    assert queued(store, HIGH)[-1] == urgent.id


def test_a_delivery_without_a_record_moves_after_half_of_the_longest_wait(store: Store, redis_url: str) -> None:
    submit(store, HIGH)
    old = submit(store, DEFAULT, recorded=False, ago=16)
    submit(store, DEFAULT, recorded=False, ago=14)
    assert move(redis_url, Tier.DEFAULT) == 1
    assert queued(store, HIGH)[-1] == old.id


def test_nothing_moves_while_no_other_work_waits_above(store: Store, redis_url: str) -> None:
    submit(store, DEFAULT, ago=100, wait_s=1000)
    assert move(redis_url, Tier.DEFAULT) == 0


def test_flex_moves_while_batches_wait(store: Store, redis_url: str) -> None:
    submit(store, names.bulk(POOL))
    old = submit(store, FLEX, ago=100, wait_s=1000)
    assert move(redis_url, Tier.FLEX) == 1
    assert queued(store, DEFAULT) == [old.id]


def test_what_has_moved_does_not_make_more_move(store: Store, redis_url: str) -> None:
    submit(store, HIGH)
    for _ in range(3):
        submit(store, DEFAULT, ago=100, wait_s=1000)
    assert move(redis_url, Tier.DEFAULT, most=1) == 1
    take(store)
    assert move(redis_url, Tier.DEFAULT) == 0


def test_only_some_wait_above_at_a_time(store: Store, redis_url: str) -> None:
    for _ in range(9):
        submit(store, HIGH)
    for _ in range(5):
        submit(store, DEFAULT, ago=100, wait_s=1000)
    assert [move(redis_url, Tier.DEFAULT, most=2) for _ in range(2)] == [2, 0]
    for _ in range(10):
        take(store)
    for _ in range(2):
        submit(store, HIGH)
    assert move(redis_url, Tier.DEFAULT, most=2) == 1


def test_a_moved_delivery_waits_for_its_age_again(store: Store, redis_url: str) -> None:
    submit(store, HIGH)
    submit(store, DEFAULT)
    submit(store, FLEX, ago=100, wait_s=1000)
    assert move(redis_url, Tier.FLEX) == 1
    assert move(redis_url, Tier.DEFAULT) == 0


def test_a_moved_delivery_keeps_its_place_in_line(store: Store, redis_url: str) -> None:
    submit(store, HIGH)
    old = submit(store, DEFAULT, jobs=2, ago=100, wait_s=1000)
    move(redis_url, Tier.DEFAULT)
    assert [(store.job(job).queue, store.job(job).position) for job in old.jobs] == [(HIGH, 2), (HIGH, 3)]
    assert (counts(store, DEFAULT), counts(store, HIGH)) == ((2, 2), (3, 0))
    while take(store):
        pass
    assert (counts(store, DEFAULT), counts(store, HIGH)) == ((2, 2), (3, 3))


def test_a_moved_delivery_is_found_when_its_message_is_lost(store: Store, redis_url: str) -> None:
    submit(store, HIGH)
    old = submit(store, DEFAULT, ago=100, wait_s=1000)
    move(redis_url, Tier.DEFAULT)
    store.client.delete(keys.list_of(HIGH))

    def lost(queue: str) -> bool:
        found: Any = scripts.run(store.client, scripts.find_lost(queue, POOL, grace_s=0, silent_s=0))
        return old.id.encode() in found

    assert (lost(HIGH), lost(DEFAULT)) == (True, False)


def test_a_delivery_that_still_runs_does_not_move(store: Store, redis_url: str) -> None:
    submit(store, HIGH)
    old = submit(store, DEFAULT, ago=100, wait_s=1000)
    store.start(old)
    assert move(redis_url, Tier.DEFAULT) == 0


def test_a_delivery_whose_worker_died_moves_and_counts_once(store: Store, redis_url: str) -> None:
    submit(store, HIGH)
    old = submit(store, DEFAULT, ago=100, wait_s=1000)
    store.start(old)
    store.client.zadd(keys.running(DEFAULT), {old.id: time.time() - 100})
    assert move(redis_url, Tier.DEFAULT) == 1
    assert (counts(store, DEFAULT), counts(store, HIGH)) == ((1, 1), (1, 0))


def test_the_owner_of_a_moved_delivery_takes_turns_above(store: Store, redis_url: str) -> None:
    for _ in range(9):
        submit(store, HIGH, costs={"a": 1})
    moved = submit(store, DEFAULT, costs={"b": 1}, ago=100, wait_s=1000)
    assert move(redis_url, Tier.DEFAULT, target=1) == 1
    assert [taken[0] for _ in range(10) if (taken := take(store))].index(moved.id) < 3


def test_the_backlog_fills_the_place_of_a_moved_delivery(store: Store, redis_url: str) -> None:
    submit(store, HIGH)
    submit(store, DEFAULT, costs={"a": 1}, ago=100, wait_s=1000)
    following = submit(store, DEFAULT, costs={"a": 1})
    move(redis_url, Tier.DEFAULT)
    assert queued(store, DEFAULT) == [following.id]


def test_a_message_that_nobody_can_read_stays(store: Store, redis_url: str) -> None:
    submit(store, HIGH)
    store.client.rpush(keys.list_of(DEFAULT), b"text", b"[]", b'{"headers": 1}')
    old = submit(store, DEFAULT, ago=100, wait_s=1000)
    assert move(redis_url, Tier.DEFAULT) == 1
    assert queued(store, HIGH)[-1] == old.id
    assert store.client.llen(keys.list_of(DEFAULT)) == 3


Step = tuple[str, Tier, str]
STEPS = st.lists(
    st.tuples(st.sampled_from(["submit", "submit", "take", "move", "finish"]), st.sampled_from(Tier), st.sampled_from("ab")), max_size=50
)


@settings(max_examples=expensive(50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.integers(1, 3), st.booleans())
def test_random_moves_lose_nothing_and_run_nothing_twice(store: Store, redis_url: str, steps: list[Step], target: int, fair: bool) -> None:
    store.client.flushdb()
    sent: dict[str, Delivery] = {}
    started: list[tuple[str, str]] = []
    for step, tier, owner in steps:
        if step == "submit":
            new = submit(store, names.queue(POOL, tier), wait_s=1000, costs={owner: 1} if fair else None, target=target)
            sent[new.id] = new
        elif step == "take" and (taken := take(store)):
            started.append(taken)
        elif step == "move" and tier is not Tier.PRIORITY:
            move(redis_url, tier, age_s=1e-9, most=2, target=target)
        elif step == "finish" and started:
            ended = sent[started[0][0]]
            scripts.run(store.client, scripts.finish(started[0][1], ended, [succeeded(ended.jobs[0])], keep=60, keep_dead=60, max_dead=10))
        assert all(store.client.zcard(keys.moved(queue)) <= 2 for queue in (HIGH, DEFAULT))
    while taken := take(store):
        started.append(taken)
    assert sorted(id for id, _ in started) == sorted(sent)
    for queue in names.queues(POOL):
        entered, left = counts(store, queue)
        assert (entered, store.client.hlen(keys.backlog(queue))) == (left, 0)


@settings(max_examples=expensive(20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 6), st.sampled_from([Tier.DEFAULT, Tier.FLEX]), st.integers(1, 4), st.booleans())
def test_a_job_starts_although_priority_work_always_waits(
    store: Store, redis_url: str, old: int, tier: Tier, arrivals: int, fair: bool
) -> None:
    store.client.flushdb()
    costs = {"owner": {"a": 1.0}, "others": {"b": 1.0}} if fair else {"owner": None, "others": None}
    waiting = {submit(store, names.queue(POOL, tier), wait_s=1000, costs=costs["owner"]).id for _ in range(old)}
    for _ in range(arrivals + 1):
        submit(store, HIGH, costs=costs["others"])
    rounds = 0
    while waiting:
        for _ in range(arrivals):
            submit(store, HIGH, costs=costs["others"], max_queue=10_000)
        for lower in (Tier.DEFAULT, Tier.FLEX):
            move(redis_url, lower, age_s=1e-9, most=1, target=1)
        for _ in range(arrivals):
            taken = take(store)
            assert taken is not None
            waiting.discard(taken[0])
        rounds += 1
        assert rounds < 200, "the job starves"
