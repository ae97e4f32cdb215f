"""/ping and /invocations: what clients of MLflow, SageMaker and Vertex AI rely on, with the bodies that their clients send."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.samples.models import SAMPLES
from tests.running import Running

ROWS = {"instances": [[0, 3], [0, 4]]}
CSV = {"content-type": "text/csv; charset=utf-8"}


@pytest.fixture(scope="module")
def vertex(running: Running) -> Iterator[httpx.Client]:
    """An API process with a default model, and with the variables that Vertex AI sets. It converts every body and result in another process."""
    routes = {"AIP_HEALTH_ROUTE": "/health", "AIP_PREDICT_ROUTE": "/v1/endpoints/7/deployedModels/8:predict"}
    beside = dataclasses.replace(running, environment=running.environment | routes)
    with (
        beside.process("api", default_model="moody@1", offload_above_bytes=1) as (_, url),
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        yield client


def test_every_form_of_a_data_frame_gets_the_same_predictions(client: httpx.Client) -> None:
    frame = SAMPLES["wine"].data().held_out[:5]
    plain = frame.astype(object).where(frame.notna(), None)
    expected = client.post("/v1/jobs?wait=20", json={"model": "wine", "inputs": plain.to_dict("records")}).json()["result"]
    forms: dict[str, Any] = {
        "dataframe_split": plain.to_dict("split"),
        "dataframe_records": plain.to_dict("records"),
        "instances": plain.to_dict("records"),
        "inputs": plain.to_dict("list"),
    }
    for form, value in forms.items():
        assert client.post("/models/wine/invocations", json={form: value}).json() == {"predictions": expected}, form
    response = client.post("/models/wine@production/invocations", content=frame.to_csv(index=False), headers=CSV)
    assert response.json() == {"predictions": expected}


def test_a_parameter_names_the_output(client: httpx.Client) -> None:
    body = {"instances": [[0] * 64] * 2, "params": {"method": "predict_proba"}}
    assert [len(row) for row in client.post("/models/digits/invocations", json=body).json()["predictions"]] == [10, 10]


def test_the_response_names_the_lane_and_has_the_custom_attributes_of_sagemaker(client: httpx.Client) -> None:
    response = client.post("/models/moody/invocations", json=ROWS, headers={"X-Amzn-SageMaker-Custom-Attributes": "trace=42"})
    assert response.json() == {"predictions": [3.0, 4.0]}
    assert (response.headers["celeriac-lane"], response.headers["x-amzn-sagemaker-custom-attributes"]) == ("queue", "trace=42")


@pytest.mark.parametrize(
    ("path", "request_", "status", "error_code", "code"),
    [
        ("/models/moody/invocations", {"json": {}}, 400, "BAD_REQUEST", "invalid_input"),
        ("/models/moody/invocations", {"json": {"instances": [[1, "x"]]}}, 400, "BAD_REQUEST", "invalid_tensor"),
        ("/models/nobody/invocations", {"json": ROWS}, 404, "RESOURCE_DOES_NOT_EXIST", "model_not_found"),
        ("/invocations", {"json": ROWS}, 404, "RESOURCE_DOES_NOT_EXIST", "model_not_found"),
        ("/models/moody/invocations", {"content": "a,b", "headers": {"content-type": "text/csv; charset=utf-16"}}, 415, "BAD_REQUEST", "unsupported_media_type"),
        ("/models/moody/invocations", {"content": "a", "headers": {"content-type": "application/xml"}}, 415, "BAD_REQUEST", "unsupported_media_type"),
        ("/models/wine/invocations", {"content": "a,b\n1,2\n", "headers": CSV}, 400, "BAD_REQUEST", "invalid_file"),
    ],
)  # fmt: skip
def test_errors_have_the_form_of_mlflow(
    client: httpx.Client, path: str, request_: dict[str, Any], status: int, error_code: str, code: str
) -> None:
    response = client.post(path, **request_)
    body = response.json()
    assert (response.status_code, body["error_code"], body["code"]) == (status, error_code, code), body
    assert body["message"].rstrip().endswith((".", ")"))


def test_a_server_without_a_default_model_says_what_to_set(client: httpx.Client) -> None:
    assert "Set CELERIAC_DEFAULT_MODEL" in client.post("/invocations", json=ROWS).json()["message"]


def test_a_ping_succeeds_while_a_worker_is_alive(client: httpx.Client) -> None:
    response = client.get("/ping")
    assert (response.status_code, response.json()["ok"]) == (200, True)


def test_the_default_model_answers_under_the_routes_of_vertex_ai(vertex: httpx.Client) -> None:
    assert vertex.get("/health").status_code == 200
    for path in ("/invocations", "/v1/endpoints/7/deployedModels/8:predict"):
        response = vertex.post(path, json={**ROWS, "parameters": {"method": "predict"}})
        assert response.json() == {"predictions": [3.0, 4.0]}
    refused = vertex.post("/v1/endpoints/7/deployedModels/8:predict", json={})
    assert (refused.status_code, refused.json()["error_code"]) == (400, "BAD_REQUEST")
    assert vertex.get("/v1/endpoints/7/deployedModels/8:predict").status_code == 405
