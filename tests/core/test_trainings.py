from __future__ import annotations

from typing import Any

import pytest

from app.core import gates
from app.core.errors import InvalidInput
from app.core.trainings import Bounds, Training

BOUNDS = Bounds(pool="training", time_limit_s=3600, fits=100)
BODY: dict[str, Any] = {"trainer": "random-forest-classifier", "dataset": "churn.csv", "target": "churned", "model": "churn"}


def parse(**more: Any) -> Training:
    return Training.parse({**BODY, **more}, BOUNDS)


def test_what_is_not_said_is_filled_in() -> None:
    found = parse()
    assert (found.pool, found.time_limit_s, found.cv, found.evaluation) == ("training", 3600, 5, "cross-validation with 5 folds")
    assert Training(**found.as_dict()) == found


def test_a_grid_is_every_combination() -> None:
    found = parse(params={"criterion": "gini"}, search={"max_depth": [2, 4], "n_estimators": [10, 20]}, cv=3)
    assert list(found.candidates())[1] == {"criterion": "gini", "max_depth": 2, "n_estimators": 20}
    assert found.fits == 2 * 2 * 3 + 1


def test_without_a_search_there_is_one_candidate() -> None:
    assert list(parse(params={"max_depth": 3}).candidates()) == [{"max_depth": 3}]


@pytest.mark.parametrize(
    ("more", "pointer", "told"),
    [
        ({"trainer": "sklearn.svm.NuSVC"}, "/trainer", "Trainer 'sklearn.svm.NuSVC' does not exist"),
        ({"trainer": None}, "/trainer", "must be a text"),
        ({"target": ""}, "/target", "must be a text"),
        ({"dataset": ["a.csv"]}, "/dataset", "must be a text"),
        ({"model": "Churn!"}, "/model", "not a valid model name"),
        ({"pool": "../x"}, "/pool", "name of a pool"),
        ({"params": {"n_jobs": 8}}, "/params/n_jobs", "not support the parameter 'n_jobs'. Supported parameters: n_estimators"),
        ({"params": [1]}, "/params", "must be an object"),
        ({"search": {"max_depth": 4}}, "/search/max_depth", "takes a list"),
        ({"search": {"max_depth": []}}, "/search/max_depth", "takes a list"),
        ({"search": {"max_depth": [1]}, "params": {"max_depth": 1}}, "/search/max_depth", "leave it to one"),
        ({"search": {"max_depth": list(range(1, 30))}}, "/search", "would fit 146 times, above the limit of 100"),
        ({"cv": 1}, "/cv", "from 2 to 20"),
        ({"cv": True}, "/cv", "from 2 to 20"),
        ({"holdout": 1.5}, "/holdout", "up to 0.9"),
        ({"time_limit_s": 0}, "/time_limit_s", "above 0"),
        ({"time_limit_s": 4000}, "/time_limit_s", "3600"),
        ({"columns": "age"}, "/columns", "list of names"),
        ({"columns": ["age", "churned"]}, "/columns", "cannot be learned from too"),
        ({"colums": []}, "/colums", "Unknown field 'colums'"),
        ({"promote_if": {}}, "/promote_if", "must name a metric"),
        ({"promote_if": {"r2": {"at_least": 0.9}}}, "/promote_if/r2", "not measured for this trainer"),
        ({"promote_if": {"accuracy": {"above": 0.9}}}, "/promote_if/accuracy", "at_least, at_most, not_worse_than"),
        ({"promote_if": {"accuracy": {"at_least": "0.9"}}}, "/promote_if/accuracy/at_least", "takes a number"),
        ({"promote_if": {"accuracy": {"not_worse_than": "the best"}}}, "/promote_if/accuracy/not_worse_than", "an alias or a version"),
        ({"dataset": "x" * 1001}, "/dataset", "must be a text"),
        ({"columns": ["x" * 100] * 400}, "", "name fewer columns"),
    ],
)  # fmt: skip
def test_bad_input_is_told_with_its_field(more: dict[str, Any], pointer: str, told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(**more)
    assert caught.value.pointer == pointer
    assert told in caught.value.detail


def test_workers_judge_trainers_of_their_own() -> None:
    custom = Bounds(pool="training", time_limit_s=3600, fits=100, custom=True)
    assert Training.parse({**BODY, "trainer": "churn-rules", "params": {"depth": 3}}, custom).trainer == "churn-rules"


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
