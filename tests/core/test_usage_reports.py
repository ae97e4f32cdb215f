"""Reports of usage: their days, their groups, and the time of pools that nothing used."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from app.core import usage_reports
from app.core.errors import InvalidInput
from app.core.metering import DAY_S, Amounts, Meter, Series
from app.core.usage_reports import Group, Grouping, Report, ReportPeriod, day_text

TODAY = 20_000
NOW = TODAY * DAY_S + 5.0
USED = [
    (Series("gpu", "m", "a"), Amounts(2, 20, 100.0, 0.5)),
    (Series("gpu", "m", "b"), Amounts(1, 1, 300.0, 1.5)),
    (Series("cpu", "n", "a"), Amounts(1, 1, 50.0, 0.0)),
    (Series("gpu"), Amounts(run_s=1000.0, cost=5.0)),
]


def report(*group_by: Grouping, days: range = range(TODAY, TODAY + 1)) -> Report:
    made = Report(days, frozenset(group_by))
    for day in days:
        made.add(day, USED, [True] * len(USED))
    return made


@pytest.mark.parametrize(
    ("period", "first", "last"),
    [
        (ReportPeriod(), TODAY - 29, TODAY),
        (ReportPeriod(start=-timedelta(days=6)), TODAY - 6, TODAY),
        (ReportPeriod(end=-timedelta(days=1)), TODAY - 30, TODAY - 1),
        (ReportPeriod(date(2024, 10, 1), date(2024, 10, 3)), TODAY - 3, TODAY - 1),
        (ReportPeriod(end=date(2100, 1, 1)), TODAY - 29, TODAY),
    ],
    ids=["default", "age", "end", "dates", "future"],
)
def test_a_period_has_both_of_its_ends(period: ReportPeriod, first: int, last: int) -> None:
    assert period.resolve(NOW, 400) == range(first, last + 1)


def test_the_default_period_begins_with_the_first_day_that_is_kept() -> None:
    assert ReportPeriod().resolve(NOW, 0) == range(TODAY, TODAY + 1)


@pytest.mark.parametrize(
    "period", [ReportPeriod(date(2024, 10, 3), date(2024, 10, 1)), ReportPeriod(start=date(2100, 1, 1)), ReportPeriod(date(2020, 1, 1))]
)
def test_an_empty_period_and_one_that_is_not_kept_are_refused(period: ReportPeriod) -> None:
    with pytest.raises(InvalidInput) as refused:
        period.resolve(NOW, 400)
    assert refused.value.pointer == "/from"


def test_without_groups_there_is_one_sum() -> None:
    assert report().items == {Group(): Amounts(4, 22, 450.0, 2.0)}


def test_groups_are_what_the_report_distinguishes() -> None:
    days = range(TODAY - 1, TODAY + 1)
    items = report(Grouping.OWNER, Grouping.POOL, days=days).items
    assert items[Group(owner="a", pool="gpu")] == Amounts(4, 40, 200.0, 1.0)
    assert len(items) == 3
    assert len(report(Grouping.OWNER, Grouping.DAY, days=days).items) == 4


def test_what_is_not_visible_counts_only_in_the_time_of_its_pool() -> None:
    made = Report(range(TODAY, TODAY + 1), frozenset((Grouping.OWNER,)))
    made.add(TODAY, USED, [series.owner == "a" for series, _ in USED])
    assert list(made.items) == [Group(owner="a")]
    assert made.pools[Group(pool="gpu")].used == Amounts(3, 21, 400.0, 2.0)


def test_the_time_of_a_pool_that_nothing_used_is_idle() -> None:
    pools = report().pools
    assert (pools[Group(pool="gpu")].idle_s, pools[Group(pool="gpu")].idle_cost) == (600.0, 3.0)
    assert pools[Group(pool="cpu")].idle_s == 0.0


def test_too_many_groups_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_reports, "MAX_ITEMS", 2)
    with pytest.raises(InvalidInput, match="more than 2 groups"):
        report(Grouping.OWNER, Grouping.POOL)


def test_a_day_is_written_as_a_date() -> None:
    assert day_text(TODAY) == "2024-10-04"


def test_a_call_costs_what_its_process_costs() -> None:
    meter = Meter(1, 1, {"gpu": 3.6})
    assert meter.cost("gpu", 500.0, 0.5) == pytest.approx(0.25)
    assert meter.cost("cpu", 500.0) is None
