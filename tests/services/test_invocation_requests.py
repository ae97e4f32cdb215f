"""The forms of MLflow's scoring protocol."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.errors import CeleriacError
from app.core.models import Manifest, TensorSpec
from app.core.prediction_requests import PredictionRequest
from app.core.tensors import decode
from app.core.tiers import Tier
from app.services.requests.invocations import Invocation

MODEL = Manifest(
    "m",
    "1",
    "joblib",
    "model.joblib",
    "",
    (TensorSpec("input", "FP64", (-1, 2), ("height", "width")),),
    (TensorSpec("predict", "INT64", (-1,)), TensorSpec("predict_proba", "FP64", (-1, 2))),
)
ROWS = {"instances": [[1, 2]]}


def requested(body: dict[str, Any]) -> PredictionRequest:
    return Invocation.parse(body).requested(MODEL)


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"index": [7, 8], "columns": ["width", "height"], "data": [[2, 1], [4, 3]]}},
        {"dataframe_records": [{"width": 2, "height": 1}, {"width": 4, "height": 3}]},
        {"instances": [[1, 2], [3, 4]]},
        {"instances": [{"width": 2, "height": 1}, {"width": 4, "height": 3}], "inputs": None},
        {"inputs": [[1, 2], [3, 4]]},
        {"inputs": {"height": [1, 3], "width": [2, 4]}},
    ],
)
def test_each_form_has_the_same_rows(body: dict[str, Any]) -> None:
    [tensor] = requested(body).inputs
    assert (tensor.shape, decode(tensor.data, tensor.datatype)) == ((2, 2), [1.0, 2.0, 3.0, 4.0])


@pytest.mark.parametrize("field", ["params", "parameters"])
def test_parameters_choose_the_output_the_tier_and_the_timeout(field: str) -> None:
    request = requested({**ROWS, field: {"method": "predict_proba", "priority": 1, "timeout": 2_000_000, "temperature": 0.5}})
    assert (request.outputs, request.tier, request.timeout_s) == (("predict_proba",), Tier.PRIORITY, 2.0)
    assert requested(ROWS) == PredictionRequest(request.inputs, ("predict",))


@pytest.mark.parametrize(
    ("body", "pointer", "message"),
    [
        ({}, "", "The body has no rows. Give exactly one of dataframe_split, dataframe_records, instances, inputs."),
        ({**ROWS, "inputs": [[1, 2]]}, "", "The body has instances and inputs. Give exactly one of "),
        ({"rows": [[1, 2]]}, "/rows", "Unknown field 'rows'. Supported fields: dataframe_split, "),
        ({"instances": []}, "/instances", "instances must be a list of at least one row"),
        ({"dataframe_records": [{"width": 2}]}, "/dataframe_records/0", "Row 0 lacks the column 'height'."),
        ({"dataframe_split": {"data": [[1, 2]]}}, "/dataframe_split/columns", "Field dataframe_split.columns is missing. For example: "),
        ({"dataframe_split": [[1, 2]]}, "/dataframe_split", "Field dataframe_split must be an object, not [[1, 2]]."),
        ({**ROWS, "params": {"method": "score"}}, "/params/method", "'m' has no output 'score'; it has predict, predict_proba."),
        ({**ROWS, "parameters": {"method": 7}}, "/parameters/method", "method must be a string"),
        ({**ROWS, "params": {"timeout": "long"}}, "/params/timeout", "timeout is 'long'. Give the microseconds to wait"),
        ({**ROWS, "params": [1]}, "/params", "Field params must be an object, not [1]."),
    ],
)
def test_a_wrong_field_is_named(body: dict[str, Any], pointer: str, message: str) -> None:
    with pytest.raises(CeleriacError) as caught:
        requested(body)
    assert (caught.value.pointer, caught.value.detail[: len(message)]) == (pointer, message)
