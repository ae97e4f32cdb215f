"""Concurrency keys in the scripts that submit, start, end and cancel jobs. A test is the worker: it takes messages from the list."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis.asyncio

from app.core.concurrency import Concurrency, OnFull
from app.core.deliveries import Delivery
from app.core.jobs import State, new_id
from app.settings import Settings
from app.store import concurrency, keys, model_references, scripts
from tests.store.conftest import QUEUE, Store, failed, succeeded

OWNER = "default"
KEY = "customer:42"
NAME = Concurrency(KEY).name(OWNER)
LIMITS = Settings(concurrency_max_waiting=5, concurrency_max_keys=3, result_ttl_s=60)


def submit(
    store: Store, on_full: OnFull = OnFull.QUEUE, limit: int = 1, key: str = KEY, owner: str = OWNER, most: Settings = LIMITS, **more: Any
) -> Any:
    """Returns the delivery, or what the script said where it refused."""
    id = new_id(time.time())
    return store.submit(ids=(id,), concurrency=concurrency.encode(Concurrency(key, limit, on_full), owner, id, most), **more)


def end(store: Store, sent: Delivery) -> None:
    store.finish(sent, succeeded(sent.jobs[0]))


def cancel(store: Store, sent: Delivery) -> None:
    scripts.run(store.client, scripts.end_job(sent.jobs[0], State.CANCELLED, keep=60))


def admitted(store: Store, name: str = NAME) -> list[str]:
    members: Any = store.client.zrange(keys.admitted(name), 0, -1)
    return [member.decode() for member in members]


def held(store: Store, name: str = NAME) -> list[str]:
    members: Any = store.client.zrange(keys.waiting(name), 0, -1)
    return [member.decode() for member in members]


def state(store: Store, sent: Delivery) -> str:
    return str(store.job(sent.jobs[0]).state)


def key_names(store: Store) -> list[bytes]:
    """Everything that is kept for concurrency keys."""
    kept: Any = store.client.keys(f"{keys.CONCURRENCY}*")
    return [*kept, *store.client.keys(f"{keys.held_back('')}*")]


def sweep(store: Store, url: str) -> int:
    """What a round of the maintenance repairs when every key is due."""
    names: Any = store.client.zrange(keys.CONCURRENCY, 0, -1)
    for name in names:
        store.client.zadd(keys.CONCURRENCY, {name: 0})

    async def once(work: Callable[[redis.asyncio.Redis], Awaitable[int]]) -> int:
        async with redis.asyncio.Redis.from_url(url) as client:
            return await work(client)

    return asyncio.run(once(lambda client: concurrency.sweep_held_back(client, QUEUE))) + asyncio.run(
        once(lambda client: concurrency.sweep(client, 60))
    )


def test_a_job_within_the_limit_is_queued(store: Store) -> None:
    sent = [submit(store, limit=2) for _ in range(2)]
    assert admitted(store) == [one.jobs[0] for one in sent]
    assert store.messages() == 2


def test_a_job_over_the_limit_is_held_back(store: Store) -> None:
    submit(store)
    second = submit(store)
    assert held(store) == [second.jobs[0]]
    assert (store.job(second.jobs[0]).held, state(store, second), store.messages()) == (True, "queued", 1)


def test_the_end_of_a_job_admits_the_first_that_is_held_back(store: Store) -> None:
    first, second, third = (submit(store) for _ in range(3))
    store.take()
    end(store, first)
    assert (admitted(store), held(store)) == ([second.jobs[0]], [third.jobs[0]])
    assert store.take() == second.id


@pytest.mark.parametrize("started", [False, True])
def test_a_cancelled_job_gives_back_its_slot(store: Store, started: bool) -> None:
    first, second = submit(store), submit(store)
    if started:
        store.take()
    cancel(store, first)
    assert admitted(store) == [second.jobs[0]]


def test_a_failed_job_gives_back_its_slot(store: Store) -> None:
    first, second = submit(store), submit(store)
    store.take()
    store.finish(first, failed(first.jobs[0]))
    assert admitted(store) == [second.jobs[0]]


def test_a_job_that_expires_in_the_queue_gives_back_its_slot(store: Store) -> None:
    submit(store, wait_s=-1)
    second = submit(store)
    store.take()
    assert admitted(store) == [second.jobs[0]]


def test_a_retry_keeps_the_slot(store: Store) -> None:
    first, second = submit(store), submit(store)
    store.take()
    [again] = store.requeue(first)
    assert admitted(store) == [first.jobs[0]]
    assert store.take() == again.id
    store.finish(again, succeeded(first.jobs[0], attempt=2))
    assert admitted(store) == [second.jobs[0]]


def test_a_result_that_comes_too_late_gives_back_no_other_slot(store: Store) -> None:
    first, second, third = (submit(store) for _ in range(3))
    store.take()
    cancel(store, first)
    end(store, first)
    assert (admitted(store), held(store)) == ([second.jobs[0]], [third.jobs[0]])


def test_a_job_that_is_held_back_can_be_cancelled(store: Store) -> None:
    first, second, third = (submit(store) for _ in range(3))
    cancel(store, second)
    end(store, first)
    assert admitted(store) == [third.jobs[0]]
    assert not store.client.exists(keys.delivery(second.id))


def test_a_job_that_expires_while_it_is_held_back_never_enters_the_queue(store: Store) -> None:
    first, second, third = submit(store), submit(store, wait_s=-1), submit(store)
    store.take()
    end(store, first)
    assert (state(store, second), admitted(store)) == ("expired", [third.jobs[0]])


def test_nothing_remains_of_a_key_without_jobs(store: Store) -> None:
    first, second = submit(store), submit(store)
    for sent in (first, second):
        store.take()
        end(store, sent)
    assert key_names(store) == []


def test_a_key_counts_for_its_owner(store: Store) -> None:
    submit(store)
    submit(store, owner="other")
    assert store.messages() == 2


def test_keys_do_not_count_for_each_other(store: Store) -> None:
    submit(store)
    submit(store, key="customer:43")
    assert store.messages() == 2


def test_the_limit_of_the_newest_job_counts(store: Store) -> None:
    first, second, third, fourth = submit(store), submit(store), submit(store), submit(store, limit=3)
    assert admitted(store) == [one.jobs[0] for one in (first, second, third)]
    assert held(store) == [fourth.jobs[0]]


def test_a_higher_limit_admits_the_older_jobs_first(store: Store) -> None:
    sent = [submit(store), submit(store), submit(store, limit=5)]
    assert [store.take() for _ in range(3)] == [one.id for one in sent]


def test_refuse_names_the_jobs_of_the_key(store: Store) -> None:
    first = submit(store)
    assert submit(store, OnFull.REFUSE) == [b"refused", [first.jobs[0].encode()]]


def test_a_refused_job_leaves_nothing(store: Store) -> None:
    submit(store)
    before = set(store.client.scan_iter())
    submit(store, OnFull.REFUSE)
    assert set(store.client.scan_iter()) == before


def test_cancel_newest_cancels_the_new_job(store: Store) -> None:
    first, second = submit(store), submit(store, OnFull.CANCEL_NEWEST)
    job = store.job(second.jobs[0])
    assert (job.state, job.reason) == (State.CANCELLED, "Concurrency key 'customer:42' had its limit of 1 job.")
    assert (admitted(store), store.messages()) == ([first.jobs[0]], 1)


def test_cancel_newest_submits_a_job_within_the_limit(store: Store) -> None:
    assert state(store, submit(store, OnFull.CANCEL_NEWEST)) == "queued"


def test_cancel_running_cancels_the_oldest_job(store: Store) -> None:
    first, second, third = submit(store, limit=2), submit(store, limit=2), submit(store, OnFull.CANCEL_RUNNING, limit=2)
    assert [state(store, sent) for sent in (first, second, third)] == ["cancelled", "queued", "queued"]
    assert third.jobs[0] in store.job(first.jobs[0]).reason


def test_cancel_running_cancels_jobs_that_are_held_back(store: Store) -> None:
    sent = [submit(store) for _ in range(3)]
    last = submit(store, OnFull.CANCEL_RUNNING)
    assert {state(store, one) for one in sent} == {"cancelled"}
    assert (admitted(store), held(store), store.client.hlen(keys.held_back(QUEUE))) == ([last.jobs[0]], [], 0)


def test_cancel_running_returns_the_deliveries_to_interrupt(store: Store) -> None:
    first = submit(store)
    store.take()
    submit(store, OnFull.CANCEL_RUNNING)
    assert store.answer[4].decode().split() == ["admit", first.id]


def test_jobs_that_are_held_back_are_bounded(store: Store) -> None:
    for _ in range(6):
        submit(store)
    assert submit(store) == [b"waiting", 5]


def test_keys_of_an_owner_are_bounded(store: Store) -> None:
    for number in range(3):
        submit(store, key=f"k{number}")
    assert submit(store, key="k3") == [b"keys", 3]
    assert isinstance(submit(store, key="k0"), Delivery)
    assert isinstance(submit(store, key="k3", owner="other"), Delivery)


def test_a_job_that_is_held_back_is_not_lost(store: Store) -> None:
    submit(store)
    submit(store)
    store.take()
    assert store.find_lost(silent_s=60) == []


def test_a_job_that_is_held_back_does_not_count_as_waiting_in_the_queue(store: Store) -> None:
    for _ in range(3):
        submit(store)
    other = store.submit()
    assert store.job(other.jobs[0]).position == 2


def test_a_model_is_in_use_by_a_job_that_is_held_back(store: Store) -> None:
    first = submit(store)
    submit(store)
    cancel(store, first)
    for other in (keys.deliveries(QUEUE), keys.list_of(QUEUE)):
        store.client.delete(other)
    submit(store)
    assert "m@1" in model_references.versions(store.client, {"default": [QUEUE]})


def test_a_job_waits_for_its_slot_before_the_turn_of_its_owner(store: Store) -> None:
    first, second = submit(store, costs={"a": 1}), submit(store, costs={"a": 1})
    store.take()
    for _ in range(3):
        store.submit(costs={"a": 1})
    end(store, first)
    assert store.client.hexists(keys.backlog(QUEUE), second.id)


def test_the_sweep_finds_nothing_to_repair(store: Store, redis_url: str) -> None:
    for _ in range(3):
        submit(store)
    store.take()
    assert sweep(store, redis_url) == 0


def test_the_sweep_gives_back_the_slot_of_a_job_whose_record_is_lost(store: Store, redis_url: str) -> None:
    first, second = submit(store), submit(store)
    store.client.delete(keys.job(first.jobs[0]))
    assert sweep(store, redis_url) == 1
    assert admitted(store) == [second.jobs[0]]


def test_the_sweep_removes_a_job_without_a_record_from_those_that_are_held_back(store: Store, redis_url: str) -> None:
    _, second = submit(store), submit(store)
    store.client.delete(keys.job(second.jobs[0]), keys.delivery(second.id))
    assert sweep(store, redis_url) == 2
    assert (held(store), store.client.hlen(keys.held_back(QUEUE))) == ([], 0)


def test_the_sweep_expires_jobs_that_are_held_back(store: Store, redis_url: str) -> None:
    _, second = submit(store), submit(store, wait_s=-1)
    assert sweep(store, redis_url) == 0
    assert (state(store, second), held(store)) == ("expired", [])


@pytest.mark.parametrize("damaged", [keys.admitted, keys.waiting, keys.concurrency])
def test_no_job_is_lost_when_a_key_is_damaged(store: Store, redis_url: str, damaged: Callable[[str], str]) -> None:
    first, second = submit(store), submit(store)
    store.take()
    store.client.delete(damaged(NAME))
    store.client.set(damaged(NAME), "broken")
    end(store, first)
    assert state(store, first) == "succeeded"
    sweep(store, redis_url)
    sweep(store, redis_url)
    assert store.take() == second.id
    end(store, second)
    assert state(store, second) == "succeeded"


def test_an_admitted_job_whose_message_was_lost_is_found(store: Store) -> None:
    first, second = submit(store), submit(store)
    store.take()
    store.client.delete(keys.held_back(QUEUE))
    end(store, first)
    assert store.find_lost() == [second.id]
