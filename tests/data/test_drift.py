"""Drift: found in a shifted copy of a data set, and not in samples of the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

from app.core.models import Manifest, TensorSpec
from app.core.profiles import ColumnProfile, Profile
from app.core.tensors import Tensor
from app.data import drift
from app.runtime.bins import count
from app.runtime.model import Model
from app.runtime.profiling import profile_of

ROWS: NDArray[np.float64] = load_breast_cancer().data
WIDTH = ROWS.shape[1]


def tensors(rows: NDArray[np.float64]) -> list[Tensor]:
    return [Tensor("input", "FP64", rows.shape, np.ascontiguousarray(rows).tobytes())]


@pytest.fixture(scope="module")
def profile() -> Profile:
    data = load_breast_cancer()
    model = LogisticRegression(max_iter=10_000).fit(data.data, data.target)
    specs = (TensorSpec("input", "FP64", (-1, WIDTH)),), (TensorSpec("predict", "INT64", (-1,)),)
    made = profile_of(Model(Manifest("tumor", "1", "joblib", "model.joblib", "", *specs), model), ROWS, tensors)
    assert made is not None
    return made


def report(profile: Profile, current: list[int], previous: list[int]) -> Any:
    [window] = drift.windows(profile, ["24h"], [(current, previous)])
    return window


def test_a_shifted_column_is_found_and_no_other(profile: Profile) -> None:
    rows = ROWS[np.random.default_rng(1).integers(0, len(ROWS), 2000)]
    rows[:, 3] += ROWS[:, 3].std() / 2
    lanes = count(profile, tensors(rows))
    found = report(profile, lanes, lanes)
    assert (found.rows, found.drifted) == (2000, ["input_3"])
    assert found.inputs[3].wasserstein == pytest.approx(0.5, abs=0.1)
    assert found.inputs[3].psi > found.inputs[3].threshold


def test_samples_of_the_same_rows_raise_few_false_alarms(profile: Profile) -> None:
    samples, size = 200, 500
    rng = np.random.default_rng(2)
    alarms = np.zeros(samples, bool)
    windows = [rng.integers(0, len(ROWS), (samples, size)) for _ in range(2)]
    for column in profile.inputs:
        alone = Profile((column,), ())
        lane_of = np.array([np.argmax(count(alone, tensors(ROWS[row : row + 1]))) for row in range(len(ROWS))])
        first = np.arange(samples)[:, None] * column.width
        lanes = [
            np.bincount((first + lane_of[rows]).ravel(), minlength=samples * column.width).reshape(samples, column.width).astype(float)
            for rows in windows
        ]
        alarms |= np.logical_and(*(drift.drifts(column, part, len(profile.columns)) for part in lanes))
    assert alarms.mean() <= 0.02


def test_a_reference_of_few_rows_raises_few_false_alarms_too() -> None:
    rng = np.random.default_rng(3)
    alarms = 0
    specs = (TensorSpec("input", "FP64", (-1, 4)),), (TensorSpec("input", "FP64", (-1, 4)),)
    identity = Model(Manifest("m", "1", "joblib", "model.joblib", "", *specs), None)
    identity.predict = lambda inputs, outputs=(): []  # type: ignore[method-assign]
    for _ in range(200):
        profile = profile_of(identity, rng.normal(size=(100, 4)), tensors)
        assert profile is not None
        current, previous = (count(profile, tensors(rng.normal(size=(500, 4)))) for _ in range(2))
        alarms += bool(report(profile, current, previous).drifted)
    assert alarms <= 4


COLUMN = ColumnProfile("x", 0, "x", 0, counts=(50, 50, 0), categories=("a", "b"))


def test_one_window_few_rows_or_a_small_effect_are_no_drift() -> None:
    same, other = [0, 500, 500, 0], [0, 900, 100, 0]
    assert drift.compare(COLUMN, other, other).drifted
    assert not drift.compare(COLUMN, other, same).drifted
    assert not drift.compare(COLUMN, [0, 90, 10, 0], [0, 90, 10, 0]).drifted
    assert not drift.compare(COLUMN, [0, 540_000, 460_000, 0], [0, 540_000, 460_000, 0]).drifted


def test_missing_values_and_unseen_categories_are_drift() -> None:
    for lanes in ([300, 350, 350, 0], [0, 350, 350, 300]):
        found = drift.compare(COLUMN, lanes, lanes)
        assert found.drifted
        assert (found.missing, found.unseen) in ((0.3, 0.0), (0.0, 0.3))


def test_distances_have_their_known_values() -> None:
    apart = ColumnProfile("x", 0, "x", 0, counts=(10**9, 0, 0), categories=(0, 1), std=2.0)
    found = drift.compare(apart, [0, 0, 10**9, 0], [0, 0, 0, 0])
    assert found.jensen_shannon == pytest.approx(1, abs=1e-6)
    assert found.wasserstein == pytest.approx(0.5)
    even = ColumnProfile("x", 0, "x", 0, counts=(50, 50), edges=(0.0, 1.0, 2.0), std=1.0)
    assert drift.compare(even, [0, 0, 50, 50, 0], [0] * 5).wasserstein == pytest.approx(0)
    assert drift.compare(even, [0, 0, 0, 100, 0], [0] * 5).wasserstein == pytest.approx(0.5)
    assert drift.compare(even, [0, 0, 50, 0, 50], [0] * 5).out_of_range == pytest.approx(0.5)


def test_without_live_rows_there_are_no_figures() -> None:
    found = drift.compare(COLUMN, [0, 0, 0, 0], [0, 500, 500, 0])
    assert (found.rows, found.psi, found.drifted) == (0, None, False)


def test_the_threshold_follows_the_number_of_rows_on_both_sides() -> None:
    def of(live: int) -> float:
        return float(drift.threshold(COLUMN, np.array([0, live / 2, live / 2, 0])))

    # The quantile 0.99 of chi-square with one degree of freedom is 6.63.
    assert of(100) == pytest.approx(6.63 * (1 / 100 + 1 / 100), rel=0.02)
    assert of(10**9) == pytest.approx(6.63 / 100, rel=0.02)
