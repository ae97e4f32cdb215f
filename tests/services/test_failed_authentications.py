"""Counting failed authentications per address: the minute, the bound, and what one address is."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from app.core.errors import InvalidKey, TooManyFailures
from app.services.failed_authentications import FailedAuthentications
from tests.clocks import Clock

ERROR = InvalidKey("wrong")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def remembered() -> float:
    return REGISTRY.get_sample_value("celeriac_failing_addresses") or 0.0


def test_the_failure_above_the_limit_says_when_to_try_again(clock: Clock) -> None:
    failures = FailedAuthentications(2, 10, clock)
    assert [failures.failed("10.0.0.1", ERROR) for _ in range(2)] == [ERROR, ERROR]
    clock.now += 45.5
    refusal = failures.failed("10.0.0.1", ERROR)
    assert isinstance(refusal, TooManyFailures)
    assert refusal.retry_after_s == 15
    assert "15 s" in refusal.detail


def test_an_address_is_counted_anew_after_its_minute(clock: Clock) -> None:
    failures = FailedAuthentications(1, 10, clock)
    failures.failed("10.0.0.1", ERROR)
    assert failures.exceeded("10.0.0.1")
    clock.now += 60
    assert not failures.exceeded("10.0.0.1")
    assert failures.failed("10.0.0.1", ERROR) is ERROR
    assert failures.exceeded("10.0.0.1")


def test_failures_above_the_limit_do_not_extend_the_minute(clock: Clock) -> None:
    failures = FailedAuthentications(1, 10, clock)
    for _ in range(60):
        failures.failed("10.0.0.1", ERROR)
        clock.now += 1
    assert failures.failed("10.0.0.1", ERROR) is ERROR


def test_zero_turns_the_limit_off(clock: Clock) -> None:
    failures = FailedAuthentications(0, 10, clock)
    assert [failures.failed("10.0.0.1", ERROR) for _ in range(100)] == [ERROR] * 100
    assert not failures.exceeded("10.0.0.1")


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
        ("not:an:address", "10.0.0.1", False),
    ],
)
def test_one_client_is_an_address_or_a_network_of_ipv6(first: str, second: str, same: bool, clock: Clock) -> None:
    failures = FailedAuthentications(1, 10, clock)
    failures.failed(first, ERROR)
    assert failures.exceeded(second) is same


def test_the_addresses_are_bounded_and_the_oldest_are_dropped_first(clock: Clock) -> None:
    before = remembered()
    failures = FailedAuthentications(1, 3, clock)
    for last in range(5):
        failures.failed(f"10.0.0.{last}", ERROR)
    assert [failures.exceeded(f"10.0.0.{last}") for last in range(5)] == [False, False, True, True, True]
    assert remembered() - before == 3
    clock.now += 60
    failures.forget()
    assert remembered() == before


def test_only_addresses_whose_minute_is_over_are_forgotten(clock: Clock) -> None:
    failures = FailedAuthentications(1, 10, clock)
    failures.failed("10.0.0.1", ERROR)
    clock.now += 30
    failures.failed("10.0.0.2", ERROR)
    clock.now += 30
    failures.forget()
    assert [failures.exceeded("10.0.0.1"), failures.exceeded("10.0.0.2")] == [False, True]
