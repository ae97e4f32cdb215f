"""Figures: percentiles of a histogram, sums, and the period that a request asks for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidInput
from app.core.jobs import State
from app.core.models import Manifest, TensorSpec
from app.core.periods import Period
from app.core.stats import BOUNDS_S, LANES, Collector, Figures, Series, percentiles

SPEC = TensorSpec("x", "FP64", (-1,))
MANIFEST = Manifest("m", "1", "onnx", "model.onnx", "0" * 64, (SPEC,), (SPEC,))
NOW = 1_800_000_000.0
DAY = 86400


def collected(*seconds: float) -> Figures:
    collector = Collector()
    for run_s in seconds:
        collector.count(MANIFEST, {State.SUCCEEDED: 1}, rows=1, run_s=run_s)
    return collector.take()[Series("default", "m", "1")]


@given(st.lists(st.floats(0.001, 500), min_size=1, max_size=50), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_in_the_bucket_of_the_value_with_its_rank(seconds: list[float], quantile: float) -> None:
    [value] = collected(*seconds).runs([quantile])
    expected = sorted(seconds)[max(0, -int(-quantile * len(seconds) // 1) - 1)]
    assert value is not None
    assert expected / 2 - 1e-6 <= value <= 2 * expected + 1e-6


def test_a_time_above_all_bounds_is_reported_as_the_largest_bound() -> None:
    assert collected(3600.0).runs([0.5]) == [BOUNDS_S[-1]]


def test_an_empty_histogram_has_no_percentiles() -> None:
    assert percentiles([0] * 22, (0.5, 0.95)) == [None, None]


def test_a_call_for_several_jobs_counts_its_run_time_once() -> None:
    collector = Collector()
    collector.count(MANIFEST, {State.SUCCEEDED: 2, State.FAILED: 1}, rows=5, wait_s=0.2, run_s=1.5)
    figures = collector.take()[Series.of(MANIFEST)]
    assert (figures.submitted, figures.ended(State.SUCCEEDED), figures.ended(State.FAILED), figures.rows) == (3, 2, 1, 5)
    assert figures.run_s == 1.5
    assert collector.take() == {}


def test_a_job_that_did_not_run_has_no_times() -> None:
    collector = Collector()
    collector.count(MANIFEST, {State.EXPIRED: 1})
    figures = collector.take()[Series.of(MANIFEST)]
    assert (figures.ended(State.EXPIRED), figures.runs([0.5]), figures.waits([0.5])) == (1, [None], [None])


def test_figures_are_added() -> None:
    figures = Figures()
    for _ in range(3):
        figures.merge(Figures(range(LANES)))
    assert list(figures.lanes) == [3 * lane for lane in range(LANES)]


@pytest.mark.parametrize(
    ("period", "length_s", "step_s"),
    [
        (Period(), 3600, 60),
        (Period(start=NOW - DAY), DAY, 1800),
        (Period(start=NOW - 7200), 7200, 60),
        (Period(start=NOW - 7 * DAY), 8 * DAY, DAY),
        (Period(step="1d"), 31 * DAY, DAY),
        (Period(start=NOW - 2 * DAY, end=NOW - 1.5 * DAY), DAY, DAY),
    ],
)
def test_the_default_step_follows_the_length_of_the_period(period: Period, length_s: int, step_s: int) -> None:
    start, end, step = period.resolve(NOW)
    assert (end - start, step) == (length_s, step_s)
    assert start % step == end % step == 0


@pytest.mark.parametrize(
    ("period", "pointer"),
    [
        (Period(start=NOW), "/from"),
        (Period(start=NOW - 60, end=NOW - 120), "/from"),
        (Period(start=NOW - 2 * DAY, step="1h"), "/from"),
        (Period(start=NOW - 500 * DAY), "/from"),
        (Period(version="3"), "/version"),
    ],
)
def test_a_period_without_figures_is_refused(period: Period, pointer: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        period.resolve(NOW)
    assert raised.value.pointer == pointer


def test_the_filter_accepts_what_it_names() -> None:
    series = Series("gpu", "wine", "3")
    accepted = Period(model="wine", version="3", pool="gpu")
    assert accepted.includes(series)
    for other in (replace(accepted, model="other"), replace(accepted, version="4"), replace(accepted, pool="other")):
        assert not other.includes(series)
