"""/v2: what the Open Inference Protocol promises, against the running system."""

from __future__ import annotations

import json
import struct
from typing import Any

import httpx
import numpy as np
import pytest

from app.registry.repository import Repository
from app.runtime.publishing import publish
from app.samples.models import SAMPLES
from tests.misbehaving import RAISE, SLEEP, Moody
from tests.running import Running

ROW = {"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [0, 3]}


def infer(client: httpx.Client, body: dict[str, Any], model: str = "moody", **headers: str) -> httpx.Response:
    return client.post(f"/v2/models/{model}/infer", json=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_an_answer_echoes_the_id(client: httpx.Client) -> None:
    answer = infer(client, {"id": "mine", "inputs": [ROW]}).json()
    assert answer == {
        "model_name": "moody",
        "model_version": "1",
        "id": "mine",
        "outputs": [{"name": "predict", "shape": [1], "datatype": "FP64", "data": [3.0]}],
    }


def test_without_an_id_one_is_given(client: httpx.Client) -> None:
    assert infer(client, {"inputs": [ROW]}).json()["id"]


@pytest.mark.parametrize("data", [[0, 3, 0, 4], [[0, 3], [0, 4]]])
def test_data_are_flat_or_nested(client: httpx.Client, data: Any) -> None:
    answer = infer(client, {"inputs": [{**ROW, "shape": [2, 2], "data": data}]}).json()
    assert answer["outputs"][0]["data"] == [3.0, 4.0]


def test_outputs_come_as_they_are_asked_for(client: httpx.Client) -> None:
    body = {"inputs": [{"name": "any", "shape": [1, 64], "datatype": "INT64", "data": [0] * 64}]}
    outputs = infer(client, {**body, "outputs": [{"name": "predict_proba"}, {"name": "predict"}]}, "digits").json()["outputs"]
    assert [(one["name"], one["shape"], len(one["data"])) for one in outputs] == [("predict_proba", [1, 10], 10), ("predict", [1], 1)]


def test_a_version_or_an_alias_is_named_in_the_path(client: httpx.Client) -> None:
    for version in ("1", "production"):
        path = f"/v2/models/diabetes/versions/{version}/infer"
        body = {"inputs": [{"name": "input", "shape": [1, 10], "datatype": "FP32", "data": [0] * 10}]}
        assert client.post(path, json=body).json()["model_version"] == "1"


def test_a_version_answers_the_moment_it_is_published(client: httpx.Client, running: Running) -> None:
    for version in ("1", "2"):
        publish(Repository(running.models), Moody(), "newborn", sample=np.zeros((1, 2)), format="joblib")
        answer = client.post(f"/v2/models/newborn/versions/{version}/infer", json={"inputs": [ROW]})
        assert answer.json()["outputs"][0]["data"] == [3.0], answer.text


def test_raw_data_come_and_go(client: httpx.Client) -> None:
    head = json.dumps(
        {
            "inputs": [{"name": "input", "shape": [2, 2], "datatype": "FP32", "parameters": {"binary_data_size": 16}}],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    content, headers = head + struct.pack("<4f", 0, 3, 0, 4), {"inference-header-content-length": str(len(head))}
    response = client.post("/v2/models/moody/infer", content=content, headers=headers)
    length = int(response.headers["inference-header-content-length"])
    assert json.loads(response.content[:length])["outputs"][0]["parameters"] == {"binary_data_size": 16}
    assert struct.unpack("<2d", response.content[length:]) == (3.0, 4.0)


def test_who_does_not_wait_gets_a_job(client: httpx.Client) -> None:
    response = infer(client, {"inputs": [ROW]}, prefer="respond-async")
    assert (response.status_code, response.headers["preference-applied"]) == (202, "respond-async")
    assert client.get(f"{response.headers['location']}?wait=20").json()["result"] == [3.0]


def test_who_waits_long_enough_gets_the_answer(client: httpx.Client) -> None:
    response = infer(client, {"id": "mine", "inputs": [ROW]}, prefer="respond-async, wait=20")
    assert (response.status_code, response.headers["preference-applied"]) == (200, "wait=20")
    assert (response.json()["id"], response.json()["outputs"][0]["data"]) == ("mine", [3.0])


def test_who_waits_too_short_gets_a_job(client: httpx.Client) -> None:
    response = infer(client, {"inputs": [{**ROW, "data": [SLEEP, 1.2]}]}, prefer="respond-async, wait=1")
    assert (response.status_code, response.headers["preference-applied"]) == (202, "respond-async, wait=1")
    assert client.get(f"{response.headers['location']}?wait=20").json()["state"] == "succeeded"


def test_a_failure_within_the_wait_is_reported_as_one(client: httpx.Client) -> None:
    response = infer(client, {"inputs": [{**ROW, "data": [RAISE, 0]}]}, prefer="wait=20")
    assert (response.status_code, response.json()["code"]) == (422, "prediction_failed")


def test_the_timeout_is_the_jobs_deadline(client: httpx.Client) -> None:
    response = infer(client, {"inputs": [ROW], "parameters": {"timeout": 60_000_000}}, "orphan", prefer="respond-async")
    assert client.delete(response.headers["location"]).json()["state"] == "cancelled"


def test_a_request_that_is_sent_again_gets_its_job_again(client: httpx.Client) -> None:
    headers = {"prefer": "respond-async", "idempotency_key": '"once"'}
    first, again = (infer(client, {"inputs": [ROW]}, **headers).json()["id"] for _ in range(2))
    other = infer(client, {"inputs": [{**ROW, "data": [0, 4]}]}, **headers)
    assert (first == again, other.json()["code"]) == (True, "idempotency_mismatch")


def test_metadata_name_columns_and_classes(client: httpx.Client) -> None:
    found = client.get("/v2/models/breast-cancer").json()
    (table,) = found["inputs"]
    assert (table["datatype"], table["shape"]) == ("FP64", [-1, 30])
    assert json.loads(table["parameters"]["columns"])[:2] == ["mean_radius", "mean_texture"]
    proba = next(one for one in found["outputs"] if one["name"] == "predict_proba")
    assert json.loads(proba["parameters"]["classes"]) == [0, 1]


def test_the_server_reports_its_extensions(client: httpx.Client) -> None:
    found = client.get("/v2").json()
    assert (found["name"], found["extensions"]) == ("celeriac", ["binary_tensor_data", "model_configuration", "model_repository"])


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_model_answers_as_in_this_process(client: httpx.Client, running: Running, name: str) -> None:
    repository = Repository(running.models)
    golden = repository.manifest(name, "1").golden  # type: ignore[union-attr]
    specs = {one["name"]: one for one in client.get(f"/v2/models/{name}").json()["inputs"]}
    inputs = [
        {"name": key, "datatype": specs[key]["datatype"], "shape": [golden.rows, *specs[key]["shape"][1:]], "data": data}  # type: ignore[union-attr]
        for key, data in golden.inputs.items()  # type: ignore[union-attr]
    ]
    outputs = infer(client, {"inputs": inputs, "outputs": [{"name": one} for one in golden.outputs]}, name).json()["outputs"]  # type: ignore[union-attr]
    for one in outputs:
        expected = golden.outputs[one["name"]]  # type: ignore[union-attr]
        assert one["data"] == (pytest.approx(expected) if one["datatype"] == "FP64" else expected)
