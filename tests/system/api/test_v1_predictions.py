"""/v1/models/NAME:predict, with requests as the documentation of KServe V1 and of TensorFlow Serving has them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from app.samples.models import SAMPLES

ROWS = [[0, 3], [0, 4]]


@pytest.mark.parametrize("path", ["moody:predict", "moody@1:predict", "moody/versions/1:predict"])
def test_rows_get_predictions_and_columns_get_outputs(client: httpx.Client, path: str) -> None:
    assert client.post(f"/v1/models/{path}", json={"instances": ROWS}).json() == {"predictions": [3.0, 4.0]}
    assert client.post(f"/v1/models/{path}", json={"inputs": {"input": ROWS}}).json() == {"outputs": [3.0, 4.0]}


def test_a_signature_is_an_output_and_a_label_an_alias(client: httpx.Client) -> None:
    rows = SAMPLES["digits"].data().held_out[:2].tolist()
    for signature, width in ((None, 0), ("serving_default", 0), ("predict_proba", 10)):
        body = {"signature_name": signature, "instances": rows}
        first, _ = client.post("/v1/models/digits/versions/production:predict", json=body).json()["predictions"]
        assert len(first) == width if width else isinstance(first, int)


@pytest.mark.parametrize("type", ["", "application/x-www-form-urlencoded"])
def test_the_commands_of_the_documentation_of_others_work(client: httpx.Client, type: str) -> None:
    headers = {"content-type": type} if type else {}
    response = client.post("/v1/models/moody:predict", content=json.dumps({"instances": ROWS}), headers=headers)
    assert (response.json(), response.headers["celeriac-lane"]) == ({"predictions": [3.0, 4.0]}, "queue")


def test_a_model_says_that_it_is_ready(client: httpx.Client) -> None:
    model = client.get("/v1/models/moody").json()
    assert (model["name"], model["ready"]) == ("moody", True)
    assert client.get("/v1/models/orphan").json()["ready"] is False


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("moody:predict", {}, 400, "Give exactly one of instances and inputs."),
        ("moody:predict", {"instances": ROWS, "inputs": ROWS}, 400, "Give exactly one of instances and inputs."),
        ("moody:predict", {"instances": ROWS, "signature_name": "explain"}, 400, "'moody' has no output 'explain'; it has predict. (/signature_name)"),
        ("moody:predict", {"instances": ROWS, "parameters": {"priority": "high"}}, 400, "priority is 'high'. Give the priority"),
        ("nobody:predict", {"instances": ROWS}, 404, "Model 'nobody' does not exist."),
        ("a:b:predict", {"instances": ROWS}, 400, "Invalid model reference 'a:b'."),
        ("moody:explain", {"instances": ROWS}, 405, "")
    ],
)  # fmt: skip
def test_errors_have_the_form_of_the_protocol(client: httpx.Client, path: str, body: dict[str, Any], status: int, error: str) -> None:
    response = client.post(f"/v1/models/{path}", json=body)
    assert response.status_code == status, response.text
    if error:
        assert response.json()["error"].startswith(error)
