"""Figures: percentiles of a histogram, sums, and the period that a request asks for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.core.errors import InvalidInput
from app.core.jobs import State
from app.core.models import Manifest, TensorSpec
from app.core.periods import Period
from app.core.stats import WAITS, Collector, Series

SPEC = TensorSpec("x", "FP64", (-1,))
MANIFEST = Manifest("m", "1", "onnx", "model.onnx", "0" * 64, (SPEC,), (SPEC,))
NOW = 1_800_000_000.0
DAY = 86400


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
    assert figures.ended(State.EXPIRED) == 1
    assert not any(figures.lanes[WAITS:])


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
