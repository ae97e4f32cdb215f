"""Where an alias leads, and which requests a canary takes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from app.core.errors import InvalidInput
from app.core.models import Golden, Manifest, TensorSpec
from app.core.rollouts import Rollout
from app.core.routes import Canary, Route, mismatch, value_of
from app.core.tensors import Tensor, encode

ROWS = (TensorSpec("input", "FP64", (-1, 3), ("age", "weight", "height")),)
FRAME = (TensorSpec("age", "INT64", (-1,)), TensorSpec("customer", "BYTES", (-1,)))
ANSWER = (TensorSpec("predict", "INT64", (-1,)),)
GOLDEN = Golden(1, {"input": [1.0, 2.0, 3.0]}, {"predict": [1]})
PRODUCTION = Manifest("fraud", "1", "onnx", "model.onnx", "", ROWS, ANSWER, golden=GOLDEN)


def share(canary: Canary, keys: range = range(20_000)) -> float:
    return sum(canary.takes(b"customer-%d" % key) for key in keys) / len(keys)


@pytest.mark.parametrize("percent", [0, 0.5, 10, 50, 100])
def test_a_canary_takes_its_share_of_the_keys(percent: float) -> None:
    assert share(Canary("2", percent)) == pytest.approx(percent / 100, abs=0.01)


def test_nothing_and_everything_are_exact() -> None:
    assert (share(Canary("2", 0)), share(Canary("2", 100))) == (0, 1)


def test_a_key_stays_with_the_canary_when_its_share_grows() -> None:
    keys = [b"customer-%d" % number for number in range(2000)]
    taken = [{key for key in keys if Canary("2", percent).takes(key)} for percent in (1, 10, 50, 100)]
    assert taken[0] < taken[1] < taken[2] < taken[3]


def test_another_canary_begins_with_other_keys() -> None:
    keys = [b"customer-%d" % number for number in range(2000)]
    first, second = ({key for key in keys if Canary(version, 10).takes(key)} for version in ("2", "3"))
    assert len(first & second) < len(first) / 2


@pytest.mark.parametrize(
    "route",
    [
        Route("3"),
        Route("3", Canary("4", 12.5)),
        Route("3", Canary("4", 10, "key:customer", Rollout("r1", (1, 100), 60, 10, 0.1, 5.0, 6.0, 7, 8))),
    ],
)
def test_a_route_is_read_as_it_was_written(route: Route) -> None:
    assert Route.from_json(json.loads(json.dumps(route.as_json()))) == route


def test_a_route_without_a_canary_is_written_as_in_earlier_releases() -> None:
    assert Route("3").as_json() == "3"


def test_a_person_writes_no_more_than_the_version_and_the_share() -> None:
    route = Route.from_json({"version": "3", "canary": {"version": "4", "percent": 10}})
    assert route == Route("3", Canary("4", 10, "job"))


@pytest.mark.parametrize(
    "route",
    [
        3,
        None,
        [],
        {},
        {"version": 3},
        {"version": "3", "canaries": []},
        {"version": "3", "canary": "4"},
        {"version": "3", "canary": {"version": "4"}},
        {"version": "3", "canary": {"version": "4", "percent": 101}},
        {"version": "3", "canary": {"version": "4", "percent": True}},
        {"version": "3", "canary": {"version": "4", "percent": 10, "by": "key:"}},
        {"version": "3", "canary": {"version": "latest", "percent": 10}},
        {"version": "3", "canary": {"version": "4", "percent": 10, "rollout": {}}},
        {"version": "3", "canary": {"version": "4", "percent": 10, "rollout": {"id": "r", "steps": ["1"]}}},
    ],
)
def test_a_damaged_route_is_refused(route: Any) -> None:
    with pytest.raises((ValueError, InvalidInput)):
        Route.from_json(route)


def test_a_version_with_the_same_signature_can_be_a_canary() -> None:
    assert mismatch(PRODUCTION, replace(PRODUCTION, version="2"), "key:weight") == ""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"inputs": FRAME}, "its inputs differ from those of 1"),
        ({"outputs": (TensorSpec("predict", "FP64", (-1,)),)}, "its outputs differ"),
        ({"classes": ("a", "b")}, "its classes differ"),
        ({"golden": None}, "it has no golden sample"),
    ],
)
def test_a_version_that_callers_would_notice_cannot_be_a_canary(change: dict[str, Any], reason: str) -> None:
    assert reason in mismatch(PRODUCTION, replace(PRODUCTION, version="2", **change), "job")


def test_a_canary_goes_by_an_input_that_the_model_has() -> None:
    assert "no input 'customer'. Inputs: age, weight, height" in mismatch(PRODUCTION, replace(PRODUCTION, version="2"), "key:customer")


def test_the_value_of_a_column_decides_whatever_the_other_columns_hold() -> None:
    values = [
        value_of("weight", ROWS, [Tensor("input", "FP64", (rows, 3), encode([*first, *range(3 * rows - 3)], "FP64"))])
        for rows, first in ((1, [1.0, 70.5, 2.0]), (2, [3.0, 70.5, 4.0]), (1, [1.0, 71.0, 2.0]))
    ]
    assert values[0] == values[1] == encode([70.5], "FP64") != values[2]


def test_the_text_of_an_input_decides() -> None:
    inputs = [Tensor("age", "INT64", (2,), encode([1, 2], "INT64")), Tensor("customer", "BYTES", (2,), encode(["ada", "bob"], "BYTES"))]
    assert (value_of("customer", FRAME, inputs), value_of("age", FRAME, inputs)) == (b"ada", encode([1], "INT64"))


@pytest.mark.parametrize("inputs", [[], [Tensor("customer", "BYTES", (0,), b"")]])
def test_without_a_row_nothing_decides(inputs: list[Tensor]) -> None:
    assert value_of("customer", FRAME, inputs) == b""
