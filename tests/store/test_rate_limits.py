"""Rate limits in the scripts that admit jobs. A test lets time pass by moving the stored arrival times back."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.rate_limits import Charge, RateLimit
from app.store import keys, rate_limits, scripts
from tests.store.conftest import Store

PER_HOUR = RateLimit("owner", "requests_per_hour", 3600)
"""One request per second. An hour is long enough for every test."""
ROWS = RateLimit("key", "rows_per_day", 864)
"""One row in 100 seconds."""


def charge(owner: str = "a", key: str = "", rows: int = 1, quota: int = 3600) -> Charge:
    """A charge of the owner's limit, and of the key's limit if there is a key."""
    limits = [(RateLimit("owner", "requests_per_hour", quota), owner)]
    return Charge((*limits, (ROWS, key)) if key else tuple(limits), rows)


def pass_time(store: Store, seconds: float) -> None:
    for key in store.client.scan_iter(keys.rate_limit("*")):
        arrival: Any = store.client.get(key)
        store.client.set(key, f"{float(arrival) - seconds * 1e6:.2f}")


def admitted(store: Store, *charges: Charge | None) -> bool:
    """Whether a delivery with these jobs is admitted as a whole."""
    return not isinstance(store.submit(len(charges), charges=charges), list)


def refused(answer: Any) -> dict[int, tuple[int, int, float]]:
    """The refused jobs by place: the place of the limit, what is left, and the seconds to wait."""
    status, numbers = answer
    assert status == b"limited"
    return {numbers[at]: (numbers[at + 1], numbers[at + 2], numbers[at + 3] / 1e6) for at in range(0, len(numbers), 4)}


def test_a_whole_quota_is_admitted_at_once_and_no_more(store: Store) -> None:
    assert admitted(store, *[charge(quota=7)] * 7)
    ((limit, left, wait_s),) = refused(store.submit(charges=[charge(quota=7)])).values()
    assert (limit, left) == (0, 0)
    assert wait_s == pytest.approx(3600 / 7, abs=60)


def test_a_spent_quota_returns_evenly(store: Store) -> None:
    assert admitted(store, *[charge(quota=60)] * 60)
    for _ in range(3):
        assert not admitted(store, charge(quota=60))
        pass_time(store, 61)
        assert admitted(store, charge(quota=60))
    pass_time(store, 181)
    assert [admitted(store, charge(quota=60)) for _ in range(4)] == [True, True, True, False]


def test_after_a_window_the_whole_quota_is_available(store: Store) -> None:
    assert admitted(store, *[charge(quota=5)] * 5)
    pass_time(store, 3600)
    assert admitted(store, *[charge(quota=5)] * 5)
    assert not admitted(store, charge(quota=5))


def test_rows_are_counted_by_their_number(store: Store) -> None:
    assert admitted(store, charge(key="k", rows=800))
    assert refused(store.submit(charges=[charge(key="k", rows=65)]))[0][:2] == (1, 64)
    assert admitted(store, charge(key="k", rows=64))


def test_a_refused_request_consumes_nothing_and_leaves_nothing(store: Store) -> None:
    assert admitted(store, charge(key="k", rows=800))
    before = {key: store.client.dump(key) for key in store.client.scan_iter()}
    assert refused(store.submit(charges=[charge(key="k", rows=65)]))
    assert {key: store.client.dump(key) for key in store.client.scan_iter()} == before


def test_jobs_over_their_limit_are_all_named_and_the_others_are_not(store: Store) -> None:
    assert admitted(store, *[charge("a", quota=2)] * 2)
    answer = store.submit(4, charges=[charge("a", quota=2), charge("b", quota=2), None, charge("a", quota=2)])
    assert list(refused(answer)) == [0, 3]
    assert admitted(store, charge("b", quota=2), None)


def test_a_delivery_is_admitted_as_far_as_the_quota_goes(store: Store) -> None:
    assert list(refused(store.submit(3, charges=[charge(quota=2)] * 3))) == [2]
    assert admitted(store, *[charge(quota=2)] * 2)


def test_owners_and_keys_are_counted_apart(store: Store) -> None:
    assert admitted(store, charge("a", key="x", rows=864))
    assert admitted(store, charge("a", key="y", rows=864))
    assert admitted(store, charge("b", key="z", rows=864))
    assert not admitted(store, charge("a", key="x"))


def test_the_limit_that_lasts_longest_is_named(store: Store) -> None:
    assert admitted(store, charge(key="k", rows=864, quota=1))
    index, _, wait_s = refused(store.submit(charges=[charge(key="k", rows=864, quota=1)]))[0]
    assert index == 1
    assert wait_s == pytest.approx(86400, abs=60)


def test_an_admitted_job_learns_what_is_left(store: Store) -> None:
    sent = charge(key="k", rows=14)
    call = scripts.Call(
        "start_pipeline", ("j", "js", "p", "r"), ("id", "", 60, 60, "", "", "", "pipeline:id", "a", rate_limits.encode([sent]), "")
    )
    status, *rest = scripts.run(store.client, call)
    rate_limits.conclude(status, rest, sent)
    assert [(usage.limit.policy, usage.subject, usage.remaining) for usage in sent.usages] == [
        ("owner_requests_per_hour", "a", 3599),
        ("key_rows_per_day", "k", 850),
    ]
    assert [usage.reset_s for usage in sent.usages] == [pytest.approx(1, abs=0.01), pytest.approx(1400, abs=0.01)]


def test_a_repeated_submission_costs_nothing_and_succeeds_over_the_limit(store: Store) -> None:
    for _ in range(2):
        answer = store.submit(ids=("order-4711",), charges=[charge(quota=1)])
    assert answer == [b"exists", 0]


def test_a_full_queue_takes_nothing_from_the_limit(store: Store) -> None:
    assert admitted(store, None)
    assert store.submit(max_queue=1, charges=[charge()])[0] == b"full"
    assert not store.client.exists(keys.rate_limit("owner_requests_per_hour:a"))


def test_a_limit_is_forgotten_when_its_quota_is_complete(store: Store) -> None:
    assert admitted(store, *[charge()] * 10)
    assert 9 < store.client.pttl(keys.rate_limit("owner_requests_per_hour:a")) / 1000 <= 10


def test_a_lowered_limit_holds_at_once(store: Store) -> None:
    assert admitted(store, *[charge(quota=3600)] * 1800)
    assert not admitted(store, *[charge(quota=1)] * 1)


def test_jobs_without_a_limit_write_no_key(store: Store) -> None:
    assert admitted(store, None, None)
    assert list(store.client.scan_iter(keys.rate_limit("*"))) == []


def test_a_limit_whose_key_is_unreadable_counts_from_now(store: Store) -> None:
    store.client.set(keys.rate_limit("owner_requests_per_hour:a"), "x")
    assert admitted(store, charge())
