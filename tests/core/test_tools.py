"""The JSON Schema of the rows of a model, which its own example satisfies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest

from app.core.inputs import from_rows
from app.core.models import Golden, Manifest, TensorSpec
from app.core.tools import example_row, input_schema, row_schema
from tests.core.test_inputs import MIXED, NARROW, TABLE, TEXTS, manifest

IMAGES = manifest(TensorSpec("image", "FP32", (-1, 2, 2)))


def with_sample(model: Manifest, **inputs: list[Any]) -> Manifest:
    return replace(model, golden=Golden(2, inputs, {}))


@pytest.mark.parametrize(
    ("model", "row"),
    [
        (with_sample(TABLE, input=[1.0, 2.0, 3.0, 4.0]), {"height": 1.0, "width": 2.0}),
        (with_sample(NARROW, input=[1.0, 2.0, 3.0, 4.0]), [1.0, 2.0]),
        (with_sample(TEXTS, text=["a", "b"]), "a"),
        (with_sample(MIXED, age=[1.5, None], city=["Oulu", None], n=[1, 2]), {"age": 1.5, "city": "Oulu", "n": 1}),
        (with_sample(IMAGES, image=[1.0, 2.0, 3.0, 4.0] * 2), [[1.0, 2.0], [3.0, 4.0]]),
    ],
)
def test_an_example_keeps_to_the_schema_and_is_what_the_model_takes(model: Manifest, row: Any) -> None:
    assert example_row(model) == row
    schema = input_schema(model)
    assert schema["properties"]["rows"]["examples"] == [[row]]
    jsonschema_rs.validate(schema, {"rows": [row], "method": "predict"})
    assert from_rows(model, [row])


@pytest.mark.parametrize(
    ("model", "row"),
    [
        (TABLE, {"height": 1}),
        (TABLE, {"height": 1, "width": "x"}),
        (NARROW, [1, 2, 3]),
        (TEXTS, 7),
        (MIXED, {"age": 1, "city": "Oulu", "n": None}),
    ],
)
def test_rows_that_the_model_refuses_break_the_schema(model: Manifest, row: Any) -> None:
    assert not jsonschema_rs.is_valid(row_schema(model), row)


def test_columns_that_may_be_missing_are_optional() -> None:
    assert jsonschema_rs.is_valid(row_schema(MIXED), {"n": 1, "age": None})


def test_a_large_sample_is_not_shown() -> None:
    wide = manifest(TensorSpec("input", "FP64", (-1, 100)))
    assert example_row(with_sample(wide, input=[0.0] * 200)) is None
    assert "examples" not in input_schema(TABLE)["properties"]["rows"]
