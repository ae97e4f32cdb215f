"""Bodies of trainings. What this installation allows is tested with `app.core.trainings`."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.errors import InvalidInput
from app.core.trainings import Bounds
from app.services.requests.trainings import Training

BOUNDS = Bounds(pool="training", time_limit_s=3600, fits=100)
BODY: dict[str, Any] = {"trainer": "random-forest-classifier", "dataset": "churn.csv", "target": "churned", "model": "churn"}


def test_what_a_body_omits_is_filled_in() -> None:
    training = Training.parse({**BODY, "cv": None, "pool": None, "webhook": {"url": "https://example.com"}}).checked(BOUNDS)
    assert (training.pool, training.time_limit_s, training.cv, training.promote_if) == ("training", 3600, 5, None)


def test_what_a_body_sets_is_taken() -> None:
    promote_if = {"accuracy": {"at_least": 0.9, "not_worse_than": "production"}}
    body = {**BODY, "params": {"max_depth": 3}, "time_limit_s": 60, "pool": "gpu", "na_values": ["-"], "promote_if": promote_if}
    training = Training.parse(body).checked(BOUNDS)
    assert (training.params, training.time_limit_s, training.pool, training.promote_if) == ({"max_depth": 3}, 60, "gpu", promote_if)
    assert training.options.na_values == ("-",)


@pytest.mark.parametrize(
    ("more", "pointer", "detail"),
    [
        ({"trainer": None}, "/trainer", "is missing. For example"),
        ({"target": ""}, "/target", "must have at least 1 character"),
        ({"dataset": ["a.csv"]}, "/dataset", "must be a string"),
        ({"dataset": "x" * 1001}, "/dataset", "must have at most 1000 characters"),
        ({"model": "Churn!"}, "/model", "Invalid model 'Churn!'. Use lowercase letters, digits, - and _, for example"),
        ({"pool": "../x"}, "/pool", "Invalid pool '../x'. Use lowercase letters, digits and -, for example gpu."),
        ({"params": [1]}, "/params", "must be an object"),
        ({"search": {"max_depth": 4}}, "/search/max_depth", "must be a list"),
        ({"search": {"max_depth": []}}, "/search/max_depth", "must have at least 1 item"),
        ({"cv": 1}, "/cv", "must be at least 2"),
        ({"cv": True}, "/cv", "must be an integer"),
        ({"holdout": 1.5}, "/holdout", "must be at most 0.9"),
        ({"time_limit_s": 0}, "/time_limit_s", "must be above 0"),
        ({"columns": "age"}, "/columns", "must be a list"),
        ({"columns": ["age", 7]}, "/columns/1", "must be a string"),
        ({"delimiter": ";;"}, "/delimiter", "must have at most 1 character"),
        ({"colums": []}, "/colums", "Unknown field 'colums'"),
        ({"promote_if": {}}, "/promote_if", "must have at least 1 item"),
        (
            {"promote_if": {"accuracy": {}}},
            "/promote_if/accuracy",
            "Invalid promote_if.accuracy {}. Set one of at_least, at_most, not_worse_than",
        ),
        ({"promote_if": {"accuracy": {"above": 0.9}}}, "/promote_if/accuracy/above", "Supported fields: at_least, at_most, not_worse_than"),
        ({"promote_if": {"accuracy": {"at_least": "0.9"}}}, "/promote_if/accuracy/at_least", "must be a number"),
        (
            {"promote_if": {"accuracy": {"not_worse_than": "the best"}}},
            "/promote_if/accuracy/not_worse_than",
            "Invalid promote_if.accuracy.not_worse_than 'the best'. Use an alias or a version, for example production.",
        ),
    ],
)
def test_an_invalid_body_is_refused(more: dict[str, Any], pointer: str, detail: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Training.parse({**BODY, **more})
    assert refused.value.pointer == pointer
    assert detail in refused.value.detail
