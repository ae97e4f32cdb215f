from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.core import gates
from app.core.errors import InvalidInput
from app.core.trainings import Bounds, Training

BOUNDS = Bounds(pool="training", time_limit_s=3600, fits=100)
BODY: dict[str, Any] = {"trainer": "random-forest-classifier", "dataset": "churn.csv", "target": "churned", "model": "churn"}


def training(**more: Any) -> Training:
    made = Training(**{"pool": "training", "time_limit_s": 3600, **BODY, **more})
    made.check(BOUNDS)
    return made


def test_what_is_not_said_is_filled_in() -> None:
    found = training()
    assert (found.pool, found.time_limit_s, found.cv, found.evaluation) == ("training", 3600, 5, "cross-validation with 5 folds")
    assert Training(**found.as_dict()) == found


def test_a_grid_is_every_combination() -> None:
    found = training(params={"criterion": "gini"}, search={"max_depth": [2, 4], "n_estimators": [10, 20]}, cv=3)
    assert list(found.candidates())[1] == {"criterion": "gini", "max_depth": 2, "n_estimators": 20}
    assert found.fits == 2 * 2 * 3 + 1


def test_without_a_search_there_is_one_candidate() -> None:
    assert list(training(params={"max_depth": 3}).candidates()) == [{"max_depth": 3}]


@pytest.mark.parametrize(
    ("more", "pointer", "reported"),
    [
        ({"trainer": "sklearn.svm.NuSVC"}, "/trainer", "Trainer 'sklearn.svm.NuSVC' does not exist"),
        ({"params": {"n_jobs": 8}}, "/params/n_jobs", "not support the parameter 'n_jobs'. Supported parameters: n_estimators"),
        ({"search": {"max_depth": [1]}, "params": {"max_depth": 1}}, "/search/max_depth", "is also set in params"),
        ({"search": {"max_depth": list(range(1, 30))}}, "/search", "would fit 146 times, above the limit of 100"),
        ({"time_limit_s": 4000}, "/time_limit_s", "3600"),
        ({"columns": ["age", "churned"]}, "/columns", "must not contain the target 'churned'"),
        ({"promote_if": {"r2": {"at_least": 0.9}}}, "/promote_if/r2", "not measured for this trainer"),
        ({"columns": ["x" * 100] * 400}, "", "Name fewer columns"),
    ],
)  # fmt: skip
def test_bad_input_is_reported_with_its_field(more: dict[str, Any], pointer: str, reported: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        training(**more)
    assert caught.value.pointer == pointer
    assert reported in caught.value.detail


def test_workers_judge_trainers_of_their_own() -> None:
    own = Training(**{**BODY, "pool": "training", "time_limit_s": 60, "trainer": "churn-rules", "params": {"depth": 3}})
    own.check(replace(BOUNDS, custom=True))
    with pytest.raises(InvalidInput, match="Trainer 'churn-rules' does not exist"):
        own.check(BOUNDS)


def judged(conditions: dict[str, Any], metrics: dict[str, float], **others: dict[str, float] | None) -> list[bool]:
    return [check.met for check in gates.judge(conditions, metrics, others)]


def test_a_bound_is_met_or_not() -> None:
    wanted = {"accuracy": {"at_least": 0.9, "at_most": 0.99}}
    assert judged(wanted, {"accuracy": 0.95}) == [True, True]
    assert judged(wanted, {"accuracy": 0.85}) == [False, True]
    assert judged(wanted, {"accuracy": 1.0}) == [True, False]


@pytest.mark.parametrize(("metric", "better", "worse"), [("accuracy", 0.9, 0.7), ("mean_absolute_error", 0.7, 0.9)])
def test_what_is_not_worse_depends_on_the_metric(metric: str, better: float, worse: float) -> None:
    wanted = {metric: {"not_worse_than": "production"}}
    assert judged(wanted, {metric: better}, production={metric: 0.8}) == [True]
    assert judged(wanted, {metric: 0.8}, production={metric: 0.8}) == [True]
    assert judged(wanted, {metric: worse}, production={metric: 0.8}) == [False]


def test_where_there_is_nothing_to_compare_with_nothing_is_worse() -> None:
    assert judged({"accuracy": {"not_worse_than": "production"}}, {"accuracy": 0.1}, production=None) == [True]


def test_a_version_that_does_not_say_its_metric_cannot_be_compared_with() -> None:
    [check] = gates.judge({"accuracy": {"not_worse_than": "production"}}, {"accuracy": 1.0}, {"production": {"r2": 1.0}})
    assert (check.met, check.reason) == (False, "production does not say its accuracy in its manifest")
