"""Run seconds of owners: counted when a delivery ends, once, and divided by rows. A test lets time pass by moving the start of a run back."""

from __future__ import annotations

import time

import pytest
import redis.asyncio

from app.core.deliveries import Delivery
from app.core.jobs import State
from app.core.quotas import DAY_S, RUN_SECONDS, Quota, until_midnight_s
from app.core.rate_limits import Charge, counted
from app.store import keys, scripts, usage
from tests.store.conftest import Store, failed, succeeded

RAN_S = 1000.0
SLACK_S = 60.0


def counts(owner: str, rows: int = 1) -> Charge:
    return counted(owner, RUN_SECONDS, rows=rows)


def limited(owner: str = "a", quota: int = 900) -> Charge:
    return Charge(((Quota(RUN_SECONDS, quota), owner),), 1)


def today() -> str:
    return keys.run_seconds(int(time.time() // DAY_S))


def ran(store: Store, owner: str = "a") -> float:
    """The seconds of both days, because a test may run at midnight."""
    days = [int(time.time() // DAY_S) - 1, int(time.time() // DAY_S)]
    return sum(int(store.client.hget(keys.run_seconds(day), owner) or 0) for day in days) / 1000


def start(store: Store, sent: Delivery, seconds: float = RAN_S) -> None:
    """Start a delivery as if that was `seconds` ago."""
    store.start(sent)
    store.client.hincrbyfloat(keys.delivery(sent.id), "began", -seconds)


def submit(store: Store, *owners: str, rows: tuple[int, ...] = ()) -> Delivery:
    charges = [counts(owner, count) for owner, count in zip(owners, rows or (1,) * len(owners), strict=True)]
    sent = store.submit(len(owners), owners=owners, charges=charges)
    assert isinstance(sent, Delivery)
    return sent


def test_a_run_counts_when_it_ends(store: Store) -> None:
    sent = submit(store, "a")
    start(store, sent)
    assert ran(store) == 0
    store.finish(sent, succeeded(sent.jobs[0]))
    assert ran(store) == pytest.approx(RAN_S, abs=SLACK_S)


def test_the_owners_of_a_delivery_share_its_run_by_rows(store: Store) -> None:
    sent = submit(store, "a", "b", "a", rows=(1, 7, 2))
    start(store, sent)
    store.finish(sent, *map(succeeded, sent.jobs))
    assert ran(store, "a") == pytest.approx(0.3 * RAN_S, abs=SLACK_S)
    assert ran(store, "b") == pytest.approx(0.7 * RAN_S, abs=SLACK_S)


def test_a_settlement_that_is_repeated_counts_once(store: Store) -> None:
    sent = submit(store, "a")
    start(store, sent)
    for _ in range(2):
        store.finish(sent, succeeded(sent.jobs[0]))
    assert ran(store) == pytest.approx(RAN_S, abs=SLACK_S)


def test_each_attempt_counts(store: Store) -> None:
    sent = submit(store, "a")
    start(store, sent)
    (again,) = store.requeue(sent)
    store.finish(sent)
    start(store, again)
    store.finish(again, failed(sent.jobs[0], attempt=2))
    assert ran(store) == pytest.approx(2 * RAN_S, abs=SLACK_S)


def test_a_job_that_is_cancelled_while_it_runs_counts(store: Store) -> None:
    sent = submit(store, "a")
    start(store, sent)
    scripts.run(store.client, scripts.end_job(sent.jobs[0], State.CANCELLED, keep=60))
    store.finish(sent, failed(sent.jobs[0]))
    assert ran(store) == pytest.approx(RAN_S, abs=SLACK_S)


def test_the_time_between_two_starts_of_a_delivery_does_not_count(store: Store) -> None:
    sent = submit(store, "a")
    start(store, sent, 100 * RAN_S)
    start(store, sent)
    store.finish(sent, succeeded(sent.jobs[0], attempt=2))
    assert ran(store) == pytest.approx(RAN_S, abs=SLACK_S)


def test_a_job_that_never_started_does_not_count(store: Store) -> None:
    sent = submit(store, "a")
    store.finish(sent, failed(sent.jobs[0], attempt=0))
    assert not store.client.exists(today())


def test_without_a_limit_nothing_is_counted(store: Store) -> None:
    sent = store.submit(owners=["a"])
    start(store, sent)
    store.finish(sent, succeeded(sent.jobs[0]))
    assert not list(store.client.scan_iter(keys.run_seconds("*")))


def test_what_is_counted_expires(store: Store) -> None:
    sent = submit(store, "a")
    store.start(sent)
    store.finish(sent, succeeded(sent.jobs[0]))
    (day,) = store.client.scan_iter(keys.run_seconds("*"))
    assert DAY_S < store.client.ttl(day) <= 2 * DAY_S


def test_an_owner_above_its_limit_is_refused_until_midnight(store: Store) -> None:
    assert isinstance(store.submit(charges=[limited()]), Delivery)
    store.client.hset(today(), "a", 900_500)
    status, (place, limit, remaining, wait_us) = store.submit(charges=[limited()])
    assert (status, place, limit, remaining) == (b"limited", 0, 0, 0)
    assert wait_us / 1e6 == pytest.approx(until_midnight_s(time.time()), abs=SLACK_S)
    assert isinstance(store.submit(charges=[limited("b")]), Delivery)


def test_yesterday_does_not_count(store: Store) -> None:
    store.client.hset(keys.run_seconds(int(time.time() // DAY_S) - 1), "a", 900_500)
    assert isinstance(store.submit(charges=[limited()]), Delivery)


def test_what_was_accepted_runs_although_the_limit_is_reached(store: Store) -> None:
    sent = store.submit(owners=["a"], charges=[limited()])
    store.client.hset(today(), "a", 900_500)
    start(store, sent)
    assert store.finish(sent, succeeded(sent.jobs[0])) == 0
    assert ran(store) == pytest.approx(900.5 + RAN_S, abs=SLACK_S)


def test_a_hash_of_a_wrong_type_does_not_keep_a_job_from_ending(store: Store) -> None:
    sent = submit(store, "a")
    store.client.set(today(), "text")
    start(store, sent)
    store.finish(sent, succeeded(sent.jobs[0]))
    assert store.job(sent.jobs[0]).state is State.SUCCEEDED


async def test_what_a_process_has_measured_is_added(store: Store, redis_url: str) -> None:
    now = 20_000 * DAY_S + 5.0
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        for _ in range(2):
            await usage.add_run_seconds(client, {"a": 0.25, "b": 1.5}, now)
        assert [await usage.run_seconds(client, owner, now) for owner in "abc"] == [0.5, 3.0, 0.0]
        assert await usage.run_seconds(client, "a", now + DAY_S) == 0
    assert 0 < store.client.ttl(keys.run_seconds(20_000)) <= 2 * DAY_S
