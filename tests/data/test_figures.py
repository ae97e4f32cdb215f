"""Percentiles of the histograms of figures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.jobs import State
from app.core.models import Manifest, TensorSpec
from app.core.stats import BOUNDS_S, LANES, RUNS, Collector, Series
from app.data.figures import Lanes, columns, percentiles

SPEC = TensorSpec("x", "FP64", (-1,))
MANIFEST = Manifest("m", "1", "onnx", "model.onnx", "0" * 64, (SPEC,), (SPEC,))


def collected(*seconds: float) -> Lanes:
    """Figures of jobs that ran for so long."""
    collector = Collector()
    collector.count(MANIFEST, {State.SUCCEEDED: 0})
    for run_s in seconds:
        collector.count(MANIFEST, {State.SUCCEEDED: 1}, rows=1, run_s=run_s)
    return np.array(collector.take()[Series.of(MANIFEST)].lanes)


def run_time(lanes: Lanes, quantile: float) -> list[float]:
    [values] = percentiles(lanes[..., RUNS:], [quantile])
    return [float(value) for value in np.atleast_1d(values)]


@given(st.lists(st.floats(0.001, 500), min_size=1, max_size=50), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_in_the_bucket_of_the_value_with_its_rank(seconds: list[float], quantile: float) -> None:
    [value] = run_time(collected(*seconds), quantile)
    expected = sorted(seconds)[max(0, -int(-quantile * len(seconds) // 1) - 1)]
    assert expected / 2 - 1e-6 <= value <= 2 * expected + 1e-6


def test_a_time_above_all_bounds_is_reported_as_the_largest_bound() -> None:
    assert run_time(collected(3600.0), 0.5) == [BOUNDS_S[-1]]


def test_an_empty_histogram_has_no_percentiles() -> None:
    assert np.isnan(run_time(np.zeros(LANES, int), 0.5))


def test_each_period_has_its_own_percentiles_and_the_total_has_those_of_all() -> None:
    periods = [collected(0.001), collected(0.1, 0.1, 0.1), collected()]
    together = np.stack(periods)
    np.testing.assert_array_equal(run_time(together, 0.5), [run_time(period, 0.5)[0] for period in periods])
    assert run_time(together.sum(axis=0), 0.5) == pytest.approx([0.1], abs=0.03)


def test_the_rate_is_by_the_length_of_each_period() -> None:
    [group] = columns(np.stack([collected(1.0, 1.0), collected(1.0)])[None], [4.0, 1.0])
    assert group[0] == [2, 1]
    assert group[6] == [0.5, 1.0]
    assert group[7] == [2.0, 1.0]
