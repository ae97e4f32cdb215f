"""The backlog of a queue in the scripts that submit, start and end deliveries. A test is the worker: it takes messages from the list."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis.asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.deliveries import Delivery
from app.store import backlog, keys, model_references, scripts
from tests.examples import expensive
from tests.store.conftest import QUEUE, Store, failed, succeeded

OWNERS = "abcd"


def submit(store: Store, owner: str, cost: float = 1, **more: Any) -> Any:
    return store.submit(costs={owner: cost}, **more)


def drain(store: Store) -> list[str]:
    started = []
    while id := store.take():
        started.append(id)
    return started


def in_backlog(store: Store) -> int:
    return int(store.client.hlen(keys.backlog(QUEUE)))


def sweep(url: str, target: int = 1) -> tuple[int, int]:
    async def once() -> tuple[int, int]:
        async with redis.asyncio.Redis.from_url(url) as client:
            return await backlog.sweep(client, QUEUE, target)

    return asyncio.run(once())


def fair_keys(store: Store) -> set[bytes]:
    kept = [
        keys.backlog(QUEUE),
        keys.turns(QUEUE),
        keys.charged(QUEUE),
        keys.fairness(QUEUE),
        *(keys.backlog_of(f"{QUEUE}:{owner}") for owner in OWNERS),
    ]
    return {key.encode() for key in kept} & set(store.client.scan_iter())


def test_deliveries_wait_in_the_backlog_when_the_queue_has_its_target_length(store: Store) -> None:
    for _ in range(5):
        submit(store, "a", target=2)
    assert (store.messages(), in_backlog(store)) == (2, 3)


def test_a_delivery_without_shares_never_waits_in_the_backlog(store: Store) -> None:
    submit(store, "a")
    submit(store, "a")
    store.submit()
    assert (store.messages(), in_backlog(store)) == (2, 1)


def test_one_owner_alone_is_served_in_the_order_of_its_requests(store: Store) -> None:
    sent = [submit(store, "a").id for _ in range(10)]
    assert drain(store) == sent


def test_starting_a_delivery_releases_the_next(store: Store) -> None:
    for _ in range(3):
        submit(store, "a")
    store.take()
    assert (store.messages(), in_backlog(store)) == (1, 1)


def test_ending_a_delivery_releases_the_next(store: Store) -> None:
    unrecorded, *_ = [submit(store, "a") for _ in range(3)]
    store.client.rpop(keys.list_of(QUEUE))
    store.finish(unrecorded)
    assert (store.messages(), in_backlog(store)) == (1, 1)


def test_nothing_is_left_of_an_empty_backlog(store: Store) -> None:
    for owner in OWNERS:
        submit(store, owner)
    drain(store)
    assert fair_keys(store) == set()


def test_another_owner_does_not_wait_behind_a_flood(store: Store) -> None:
    for _ in range(50):
        submit(store, "a")
    for _ in range(5):
        store.take()
    other = submit(store, "b").id
    assert store.take() == other


def test_an_owner_goes_to_the_front_once_in_a_turn(store: Store) -> None:
    for _ in range(20):
        submit(store, "a")
    first, second = submit(store, "b").id, submit(store, "b").id
    order = drain(store)
    assert order.index(first) == 0
    assert 1 < order.index(second) < 5


def test_what_is_in_the_queue_starts_although_new_owners_arrive(store: Store) -> None:
    oldest, *_ = [submit(store, "a").id for _ in range(20)]
    started = []
    for number in range(30):
        submit(store, f"new-{number}")
        started.append(store.take())
    assert oldest in started


def test_owners_take_turns(store: Store) -> None:
    owners = {submit(store, owner).id: owner for owner in "a" * 20 + "b" * 20}
    order = "".join(owners[id] for id in drain(store))
    assert order[2:20].count("a") == pytest.approx(9, abs=1)


def test_turns_are_counted_in_rows(store: Store) -> None:
    owners = {submit(store, owner, cost).id: owner for owner, cost in [("a", 10)] * 5 + [("b", 1)] * 50}
    order = [owners[id] for id in drain(store)][2:46]
    assert order.count("b") == pytest.approx(10 * order.count("a"), abs=12)


def test_an_owner_with_twice_the_weight_gets_twice_the_turns(store: Store) -> None:
    owners = {submit(store, owner, cost).id: owner for owner, cost in [("a", 1)] * 30 + [("b", 0.5)] * 30}
    order = [owners[id] for id in drain(store)][2:41]
    assert order.count("b") == pytest.approx(2 * order.count("a"), abs=3)


def test_an_owner_who_returns_has_no_credit_for_the_time_without_requests(store: Store) -> None:
    for _ in range(40):
        submit(store, "a")
    for _ in range(20):
        store.take()
    owners = dict.fromkeys((submit(store, "b").id for _ in range(20)), "b")
    order = [owners.get(id, "a") for id in drain(store)][2:22]
    assert order.count("a") == pytest.approx(10, abs=1)


def test_a_delivery_of_several_owners_waits_for_the_first_turn_of_any_of_them(store: Store) -> None:
    for _ in range(20):
        submit(store, "a")
    store.take()
    mixed = store.submit(2, costs={"a": 5, "b": 1}).id
    assert store.take() == mixed


def test_a_delivery_of_several_owners_is_charged_to_each(store: Store) -> None:
    for _ in range(20):
        submit(store, "a")
    store.take()
    store.submit(2, costs={"a": 5, "b": 1})
    before = store.client.zscore(keys.charged(QUEUE), "a")
    submit(store, "a")
    assert (before, store.client.zscore(keys.charged(QUEUE), "a")) == (24, 25)


def test_a_delivery_in_the_backlog_is_not_lost(store: Store) -> None:
    for _ in range(3):
        submit(store, "a")
    assert store.find_lost() == []


def test_a_released_delivery_whose_message_is_lost_is_found(store: Store) -> None:
    _, second, _ = [submit(store, "a") for _ in range(3)]
    store.take()
    store.client.rpop(keys.list_of(QUEUE))
    assert second.id in store.find_lost()


def test_a_delivery_that_is_queued_again_waits_for_the_turn_of_its_owner(store: Store) -> None:
    lost = submit(store, "a")
    for _ in range(3):
        submit(store, "a")
    store.client.delete(keys.list_of(QUEUE))
    other = submit(store, "b")
    for _ in range(2):
        scripts.run(store.client, scripts.enqueue(QUEUE, lost.id, b'{"headers":{"id":"%s"}}' % lost.id.encode()))
    order = drain(store)
    assert order.index(other.id) < order.index(lost.id)
    assert order.count(lost.id) == 1


def test_a_retried_job_waits_for_the_turn_of_its_owner(store: Store) -> None:
    first = submit(store, "a")
    for _ in range(3):
        submit(store, "a")
    store.take()
    (again,) = store.requeue(first)
    assert drain(store)[-1] == again.id


def test_a_full_queue_counts_the_backlog(store: Store) -> None:
    for _ in range(9):
        submit(store, "a", max_queue=10)
    assert submit(store, "a", max_queue=10) == [b"full", 9]


def test_the_last_tenth_of_a_queue_is_for_owners_with_nothing_in_the_backlog(store: Store) -> None:
    for _ in range(9):
        submit(store, "a", max_queue=10)
    assert isinstance(submit(store, "b", max_queue=10), Delivery)
    assert submit(store, "c", max_queue=10) == [b"full", 10]


def test_a_cancelled_job_in_the_backlog_does_not_run(store: Store) -> None:
    *_, last = [submit(store, "a") for _ in range(3)]
    scripts.run(store.client, scripts.end_job(last.jobs[0], "cancelled", keep=60))  # type: ignore[arg-type]
    assert last.id in drain(store)
    assert store.job(last.jobs[0]).state == "cancelled"


def test_the_version_of_a_job_in_the_backlog_is_in_use(store: Store) -> None:
    for _ in range(2):
        submit(store, "a")
    store.client.delete(keys.deliveries(QUEUE))
    assert "m@1" in model_references.versions(store.client, {"default": (QUEUE,)})


def test_the_sweep_releases_up_to_the_target(store: Store, redis_url: str) -> None:
    for _ in range(10):
        submit(store, "a")
    assert sweep(redis_url, target=4) == (6, 0)
    assert store.messages() == 4


@pytest.mark.parametrize("damage", ["turns", "list", "type"])
def test_the_sweep_finds_what_is_in_no_list_of_an_owner(store: Store, redis_url: str, damage: str) -> None:
    sent = [submit(store, owner).id for owner in "aabb"]
    if damage == "turns":
        store.client.delete(keys.turns(QUEUE))
    else:
        store.client.delete(keys.backlog_of(f"{QUEUE}:b"))
    if damage == "type":
        store.client.set(keys.backlog_of(f"{QUEUE}:b"), "text")
    assert sweep(redis_url)[1] > 0
    assert sweep(redis_url)[1] == 0
    assert sorted(drain(store)) == sorted(sent)


def test_a_list_of_a_wrong_type_does_not_stop_the_queue(store: Store) -> None:
    for owner in "aab":
        submit(store, owner)
    store.client.set(keys.backlog_of(f"{QUEUE}:a"), "text")
    assert len(drain(store)) == 2


Step = tuple[str, str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["submit", "submit", "start", "finish", "retry"]), st.sampled_from(OWNERS), st.integers(1, 20)), max_size=60
)


@settings(max_examples=expensive(50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.fixed_dictionaries({owner: st.sampled_from([0.5, 1.0, 3.0]) for owner in OWNERS}), st.integers(1, 4))
def test_random_floods_lose_nothing_and_run_nothing_twice(
    store: Store, redis_url: str, steps: list[Step], weights: dict[str, float], target: int
) -> None:
    store.client.flushdb()
    open: dict[str, Delivery] = {}
    running: list[str] = []
    started: list[str] = []
    for step, owner, rows in steps:
        if step == "submit":
            sent = submit(store, owner, rows / weights[owner], target=target)
            open[sent.id] = sent
        elif step == "start" and (id := store.take()):
            running.append(id)
            started.append(id)
        elif step == "finish" and running:
            ended = open[running.pop(0)]
            store.finish(ended, succeeded(ended.jobs[0]))
        elif step == "retry" and running:
            ended = open[running.pop(0)]
            for again in store.requeue(ended, give_back=True):
                open[again.id] = again
            store.finish(ended, failed(ended.jobs[0], attempt=9))
        assert store.messages() >= min(target, store.messages() + in_backlog(store)), "a worker waits although there is work"
        assert sweep(redis_url, target)[1] == 0
    started += drain(store)
    assert sorted(started) == sorted(open)
    assert fair_keys(store) == set()


@settings(max_examples=expensive(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(OWNERS), st.lists(st.integers(1, 20), min_size=1, max_size=15), min_size=2),
    st.fixed_dictionaries({owner: st.sampled_from([0.5, 1.0, 3.0]) for owner in OWNERS}),
    st.integers(1, 3),
)
def test_while_two_owners_wait_their_shares_differ_by_less_than_a_delivery_of_each(
    store: Store, floods: dict[str, list[int]], weights: dict[str, float], target: int
) -> None:
    store.client.flushdb()
    for _ in range(target):
        submit(store, "first", target=target)
    costs = {
        submit(store, owner, rows / weights[owner], target=target).id: (owner, rows / weights[owner])
        for owner, flood in floods.items()
        for rows in flood
    }
    left = {owner: len(flood) for owner, flood in floods.items()}
    largest = {owner: max(flood) / weights[owner] for owner, flood in floods.items()}
    served = dict.fromkeys(floods, 0.0)
    for owner, cost in [costs[id] for id in drain(store) if id in costs]:
        served[owner] += cost
        left[owner] -= 1
        waiting = [name for name in floods if left[name]]
        for one in waiting:
            for other in waiting:
                assert abs(served[one] - served[other]) <= largest[one] + largest[other] + 1e-6
