from __future__ import annotations

import itertools
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.core.cron import Cron
from app.core.errors import InvalidInput
from app.core.schedules import Schedule

ZURICH = ZoneInfo("Europe/Zurich")


def times(cron: str, begin: str, count: int, zone: ZoneInfo = ZURICH) -> list[str]:
    """The first `count` times after one, with their offsets from UTC."""
    at, found = datetime.fromisoformat(begin).replace(tzinfo=zone).timestamp(), []
    for _ in range(count):
        at = Cron.parse(cron).after(at, zone)
        found.append(datetime.fromtimestamp(at, zone).strftime("%a %Y-%m-%d %H:%M %z"))
    return found


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("*/20 * * * *", ["Thu 2026-01-01 00:20 +0100", "Thu 2026-01-01 00:40 +0100", "Thu 2026-01-01 01:00 +0100"]),
        ("0 3 * * mon-fri", ["Thu 2026-01-01 03:00 +0100", "Fri 2026-01-02 03:00 +0100", "Mon 2026-01-05 03:00 +0100"]),
        ("5/25 0 * * *", ["Thu 2026-01-01 00:05 +0100", "Thu 2026-01-01 00:30 +0100", "Thu 2026-01-01 00:55 +0100"]),
        ("0 0 13 * 5", ["Fri 2026-01-02 00:00 +0100", "Fri 2026-01-09 00:00 +0100", "Tue 2026-01-13 00:00 +0100"]),
        ("0 0 * * 7", ["Sun 2026-01-04 00:00 +0100", "Sun 2026-01-11 00:00 +0100", "Sun 2026-01-18 00:00 +0100"]),
        ("0 12 31 jan,mar,apr *", ["Sat 2026-01-31 12:00 +0100", "Tue 2026-03-31 12:00 +0200", "Sun 2027-01-31 12:00 +0100"]),
        ("0 0 29 2 *", ["Tue 2028-02-29 00:00 +0100", "Sun 2032-02-29 00:00 +0100", "Fri 2036-02-29 00:00 +0100"]),
        ("@monthly", ["Sun 2026-02-01 00:00 +0100", "Sun 2026-03-01 00:00 +0100", "Wed 2026-04-01 00:00 +0200"]),
    ],
)
def test_the_next_times(cron: str, expected: list[str]) -> None:
    assert times(cron, "2026-01-01T00:00", 3) == expected


def test_29_february_is_found_across_a_year_that_is_not_a_leap_year() -> None:
    assert times("0 0 29 2 *", "2097-01-01T00:00", 1) == ["Fri 2104-02-29 00:00 +0100"]


def test_a_time_that_the_day_skips_comes_an_hour_later() -> None:
    assert times("30 2 * * *", "2026-03-28T12:00", 2) == ["Sun 2026-03-29 03:30 +0200", "Mon 2026-03-30 02:30 +0200"]


def test_a_time_that_comes_twice_fires_once() -> None:
    assert times("30 2 * * *", "2026-10-24T12:00", 2) == ["Sun 2026-10-25 02:30 +0200", "Mon 2026-10-26 02:30 +0100"]


def test_every_hour_fires_in_both_hours_that_have_the_same_name() -> None:
    assert [time[-11:] for time in times("0 * * * *", "2026-10-25T01:00", 3)] == ["02:00 +0200", "02:00 +0100", "03:00 +0100"]
    assert [time[-11:] for time in times("0 * * * *", "2026-03-29T01:00", 2)] == ["03:00 +0200", "04:00 +0200"]


@pytest.mark.parametrize(
    ("cron", "reported"),
    [
        ("0 0 31 2 *", "never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"),
        ("0 0 * *", "Expected five fields"),
        ("", "Expected five fields"),
        ("60 * * * *", "The minute of a cron expression is '60'. Use * or numbers from 0 to 59"),
        ("* 5-3 * * *", "The hour of a cron"),
        ("* * * 13 *", "The month of a cron expression is '13'. Use * or numbers from 1 to 12 or jan to dec"),
        ("* * * * monday", "The day of the week of a cron"),
        ("*/0 * * * *", "The minute"),
        ("*/x * * * *", "The minute"),
        ("1,,2 * * * *", "The minute"),
        ("-1 * * * *", "The minute"),
        ("@sometimes", "or one of @hourly, @daily, @weekly, @monthly, @yearly."),
    ],
)
def test_a_cron_that_is_wrong(cron: str, reported: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Cron.parse(cron)
    assert reported in caught.value.detail
    assert caught.value.pointer == "/cron"


def schedule(**more: Any) -> Schedule:
    made = Schedule(**{"name": "nightly", "kind": "training", "request": {"model": "m"}, "cron": "0 3 * * *", "created_at": 1000, **more})
    made.check()
    return made


def test_an_interval_keeps_its_step_whenever_it_is_asked() -> None:
    found = schedule(cron="", every_s=60)
    assert list(map(found.after, (1000, 1001, 1059.9, 1060, 1200.5))) == [1060, 1060, 1060, 1120, 1240]


def test_what_is_planned_for_a_time_has_one_job() -> None:
    first, again = schedule(), Schedule.from_dict(schedule().as_dict())
    assert first == again
    assert first.job("nightly", 2000) == again.job("nightly", 2000) != first.job("nightly", 2001)
    assert len({first.job(id, at) for id, at in itertools.product(("nightly", "0123456789abcdef~nightly"), (1, 2))}) == 4


@pytest.mark.parametrize(
    ("more", "pointer", "reported"),
    [
        ({"cron": ""}, "/cron", "Set either cron"),
        ({"every_s": 60}, "/cron", "Set either cron"),
        ({"cron": "0 0 30 2 *"}, "/cron", "never fires"),
        ({"timezone": "Europe/Zuerich"}, "/timezone", "Time zone 'Europe/Zuerich' does not exist"),
        ({"request": {"model": "m" * 40_000}}, "", "more than 32768 characters"),
        ({"timezone": "../etc/passwd"}, "/timezone", "Time zone '../etc/passwd' does not exist"),
    ],
)
def test_bad_input_is_reported_with_its_field(more: dict[str, Any], pointer: str, reported: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        schedule(**more)
    assert caught.value.pointer == pointer
    assert reported in caught.value.detail
