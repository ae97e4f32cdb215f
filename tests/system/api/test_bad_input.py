"""What a caller may get wrong: an answer that names the field, and a system that lives on."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import time
from typing import Any

import httpx
import pytest

from app.core.jobs import new_id
from tests.misbehaving import NOT_A_NUMBER, RAISE, SLEEP, WRONG_SHAPE
from tests.running import MAX_BODY_BYTES, Running

JSON = {"content-type": "application/json"}
NUMBERS = [0.0] * 30


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "input", "shape": [1, 30], "datatype": "FP64", "data": NUMBERS, **changes}


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ({"model": "breast-cancer", "inputs": [[1, 2]]}, 422, "invalid_tensor", "/inputs"),
        ({"model": "breast-cancer", "inputs": [NUMBERS, [*NUMBERS[1:], "x"]]}, 422, "invalid_tensor", "/inputs/1/29"),
        ({"model": "breast-cancer", "inputs": [[*NUMBERS[1:], None]]}, 422, "invalid_tensor", "/inputs/0/29"),
        ({"model": "breast-cancer", "inputs": []}, 422, "invalid_input", "/inputs"),
        ({"model": "breast-cancer", "inputs": [[]]}, 422, "invalid_tensor", "/inputs"),
        ({"model": "breast-cancer"}, 422, "invalid_input", "/inputs"),
        ({"model": "breast-cancer", "inputs": [{"mean_radius": 1}]}, 422, "invalid_input", "/inputs/0"),
        ({"model": "wine", "inputs": [{"price": 3}]}, 422, "unknown_field", "/inputs/0/price"),
        ({"model": "wine", "inputs": [{"colour": 3}]}, 422, "invalid_tensor", "/inputs/0/colour"),
        ({"model": "nobody", "inputs": [[1]]}, 404, "model_not_found", "/model"),
        ({"model": "digits@99", "inputs": [[1]]}, 404, "version_not_found", "/model"),
        ({"model": "digits@nightly", "inputs": [[1]]}, 404, "version_not_found", "/model"),
        ({"model": "../etc", "inputs": [[1]]}, 422, "invalid_input", "/model"),
        ({"model": 3, "inputs": [[1]]}, 422, "invalid_input", "/model"),
        ({"inputs": [[1]]}, 422, "invalid_input", "/model"),
        ({"model": "diabetes", "inputs": [[0] * 10], "method": "dance"}, 422, "invalid_input", "/method"),
        ({"model": "diabetes", "inputs": [[0] * 10], "method": ["predict"]}, 422, "invalid_input", "/method"),
        ({"model": "diabetes", "inputs": [[0] * 10], "deadline_s": -1}, 422, "invalid_input", "/deadline_s"),
        ({"model": "diabetes", "inputs": [[0] * 10], "colour/~": 1}, 422, "unknown_field", "/colour~1~0"),
        ([1, 2], 422, "invalid_input", ""),
    ],
)
def test_a_job_that_cannot_be_is_refused(client: httpx.Client, body: Any, status: int, code: str, pointer: str) -> None:
    response = client.post("/v1/jobs", json=body)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code), problem["detail"]
    assert problem["errors"][0]["pointer"] == pointer


def test_a_wrong_value_is_named_by_row_and_column(client: httpx.Client) -> None:
    problem = client.post("/v1/jobs", json={"model": "diabetes", "inputs": [[0] * 10, [0, "x", *[0] * 8]]}).json()
    assert (problem["errors"][0]["pointer"], problem["detail"]) == ("/inputs/1/1", "Column 'sex': 'x' is not a number.")


@pytest.mark.parametrize("path", ["/v1/jobs", "/v2/models/breast-cancer/infer"])
@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"{'no': json}", JSON, 400, "invalid_json"),
        (b"", JSON, 400, "invalid_json"),
        (b'{"a": NaN}', JSON, 400, "invalid_json"),
        (b'{"a": "\xff"}', JSON, 400, "invalid_json"),
        (b"1,2,3", {"content-type": "text/csv"}, 415, "unsupported_media_type"),
        (b"{}", {"content-type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
        (b" " * (MAX_BODY_BYTES + 1), JSON, 413, "payload_too_large"),
        (gzip.compress(b" " * (MAX_BODY_BYTES + 1), mtime=0), {**JSON, "content-encoding": "gzip"}, 413, "payload_too_large"),
        (gzip.compress(b"{}", mtime=0)[:-4], {**JSON, "content-encoding": "gzip"}, 422, "invalid_input"),
        (b"{}", {**JSON, "content-encoding": "gzip"}, 422, "invalid_input"),
        (b"{}", {**JSON, "content-encoding": "br"}, 415, "unsupported_media_type"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    client: httpx.Client, path: str, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    response = client.post(path, content=content, headers=headers)
    assert (response.status_code, response.json()["code"]) == (status, code), response.text


def test_a_body_of_unknown_length_is_bounded_too(client: httpx.Client) -> None:
    response = client.post("/v1/jobs", content=(b" " * 10_000 for _ in range(30)), headers=JSON)
    assert response.status_code == 413


def test_a_caller_who_leaves_in_the_middle_of_a_body_is_not_an_error_of_ours(running: Running) -> None:
    host, _, port = running.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
    counted = 'celeriac_http_requests_total{method="POST",route="/v1/jobs",status="499"} 1.0'
    for _ in range(200):
        if counted in httpx.get(f"{running.url}/metrics").text:
            return
    raise AssertionError("nobody counted the caller who left")


@pytest.mark.parametrize(
    ("body", "pointer", "words"),
    [
        ({"inputs": [tensor(shape=[1, 29])]}, "/inputs/0/data", "the shape [1, 29] says 29"),
        (
            {"inputs": [tensor(shape=[2, 15])]},
            "/inputs/0/shape",
            "takes 30 values per row, for example [[1, 2, …], …], not the shape [2, 15].",
        ),
        ({"inputs": [tensor(shape=[-1, 30])]}, "/inputs/0/shape", "whole numbers"),
        ({"inputs": [tensor(shape="1,30")]}, "/inputs/0/shape", "whole numbers"),
        ({"inputs": [tensor(shape=[0, 30], data=[])]}, "/inputs/0/shape", "is empty"),
        ({"inputs": [tensor(datatype="BYTES", data=["a"] * 30)]}, "/inputs/0/datatype", "takes FP64, not BYTES"),
        ({"inputs": [tensor(datatype="FP128")]}, "/inputs/0/datatype", "'FP128'"),
        ({"inputs": [tensor(datatype="INT8", data=[300, *NUMBERS[1:]])]}, "/inputs/0/data/0", "300"),
        ({"inputs": [tensor(data=[[*NUMBERS[1:], "x"]])]}, "/inputs/0/data/0/29", "'x' is not a number"),
        ({"inputs": [tensor(data=[*NUMBERS[1:], None])]}, "/inputs/0/data", "NaN or an infinity in the column"),
        ({"inputs": [tensor(data=None)]}, "/inputs/0/data", "The tensor has no data"),
        ({"inputs": [tensor(data={"0": 1})]}, "/inputs/0/data", "must be a list"),
        ({"inputs": [tensor(name=7)]}, "/inputs/0/name", "must be a string"),
        ({"inputs": [tensor(), tensor(name="other")]}, "/inputs/1/name", "no input 'other'"),
        ({"inputs": [tensor(colour="red")]}, "/inputs/0/colour", "Unknown field 'colour'"),
        ({"inputs": [tensor(parameters=[1])]}, "/inputs/0/parameters", "must be an object"),
        ({"inputs": [tensor(parameters={"a": [1]})]}, "/inputs/0/parameters/a", "must be a string, a number"),
        ({"inputs": [tensor(parameters={"shared_memory_region": "r"})]}, "/inputs/0/parameters/shared_memory_region", "does not support"),
        ({"inputs": []}, "/inputs", "at least one tensor"),
        ({"inputs": [3]}, "/inputs", "at least one tensor"),
        ({}, "/inputs", "at least one tensor"),
        ({"inputs": [tensor()], "model": "x"}, "/model", "Unknown field 'model'"),
        ({"inputs": [tensor()], "id": 7}, "/id", "must be a string"),
        ({"inputs": [tensor()], "parameters": {"timeout": "soon"}}, "/parameters/timeout", "microseconds"),
        ({"inputs": [tensor()], "parameters": {"priority": -1}}, "/parameters/priority", "priority"),
        ({"inputs": [tensor()], "outputs": [{"name": "dance"}]}, "/outputs/0/name", "is not an output"),
        ({"inputs": [tensor()], "outputs": [{"name": "predict"}, {"name": "predict"}]}, "/outputs/1/name", "twice"),
        ({"inputs": [tensor()], "outputs": [{"name": ["predict"]}]}, "/outputs/0/name", "is not an output"),
        (
            {"inputs": [tensor()], "outputs": [{"name": "predict", "parameters": {"classification": 2}}]},
            "classification",
            "does not support",
        ),
    ],
)
def test_an_inference_that_cannot_be_is_refused(client: httpx.Client, body: Any, pointer: str, words: str) -> None:
    response = client.post("/v2/models/breast-cancer/infer", json=body)
    assert response.status_code == 422
    assert words in response.json()["error"]
    assert pointer in response.json()["error"]


def raw(size: int | None, content: bytes, length: int | None = None, **changes: Any) -> tuple[bytes, dict[str, str]]:
    """A request whose only tensor says `size` bytes and comes with `data`."""
    one = {"name": "input", "shape": [1, 30], "datatype": "FP64", "parameters": {"binary_data_size": size}, **changes}
    head = json.dumps({"inputs": [one]}).encode()
    return head + content, {"inference-header-content-length": str(len(head) if length is None else length)}


@pytest.mark.parametrize("levels", [80, 300, 900])
@pytest.mark.parametrize(
    ("method", "path", "field"),
    [
        ("POST", "/v1/jobs", "inputs"),
        ("PUT", "/v1/jobs/deeply-nested", "inputs"),
        ("POST", "/v1/schedules", "run"),
        ("POST", "/v2/models/breast-cancer/infer", "inputs"),
        ("POST", "/v2/repository/index", "ready"),
    ],
)
def test_a_body_that_is_nested_without_end_is_refused(client: httpx.Client, method: str, path: str, field: str, levels: int) -> None:
    text = "[" * levels + "]" * levels
    response = client.request(method, path, content=f'{{"{field}": {text}}}', headers={**JSON, "idempotency-key": '"deep"'})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_input")
    assert "more than 64 levels deep" in response.text


ROW = struct.pack("<30d", *NUMBERS)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (raw(240, ROW[:-1]), "'input' is cut off: it has 240 bytes by its binary_data_size, and 239 are left"),
        (raw(239, ROW[:-1]), "239 bytes are not a whole number of FP64"),
        (raw(232, ROW[:-8]), "holds 29 elements, the shape [1, 30] says 30"),
        (raw(240, ROW + b"more"), "4 bytes of raw data follow"),
        (raw(-1, ROW), "binary_data_size is -1"),
        (raw(240, ROW, data=NUMBERS), "Give one of them"),
        (raw(None, ROW), "must be a string, a number"),
        (raw(240, ROW, 100_000), "Invalid inference-header-content-length '100000'. Use an integer from 0 to"),
        (raw(240, ROW, int("9" * 20)), "Use an integer from 0 to"),
        (raw(240, ROW, -3), "Invalid inference-header-content-length '-3'"),
        (raw(8, struct.pack("<I", 9) + b"Oulu", datatype="BYTES", shape=[1]), "cut off inside element 0"),
        (raw(240, struct.pack("<30d", *NUMBERS[1:], float("nan"))), "holds NaN or an infinity"),
    ],
)
def test_raw_data_that_do_not_add_up_are_refused(client: httpx.Client, request_: tuple[bytes, dict[str, str]], words: str) -> None:
    content, headers = request_
    response = client.post("/v2/models/breast-cancer/infer", content=content, headers=headers)
    assert response.status_code == 422, response.text
    assert words in response.json()["error"]


@pytest.mark.parametrize(("path", "code"), [("nobody", "model_not_found"), ("digits/versions/99", "version_not_found")])
@pytest.mark.parametrize("tail", ["", "/ready", "/config"])
def test_a_model_that_is_not_there_is_not_found(client: httpx.Client, path: str, code: str, tail: str) -> None:
    response = client.get(f"/v2/models/{path}{tail}")
    assert (response.status_code, response.json()["code"]) == (404, code)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_job_that_never_was_is_not_found(client: httpx.Client, method: str) -> None:
    response = client.request(method, f"/v1/jobs/{new_id(time.time())}")
    assert (response.status_code, response.json()["code"]) == (404, "job_not_found")


@pytest.mark.parametrize("tail", ["", "?wait=1", "/events"])
def test_a_job_that_was_kept_long_enough_is_gone(client: httpx.Client, tail: str) -> None:
    response = client.get(f"/v1/jobs/{new_id(time.time() - 7200)}{tail}")
    assert (response.status_code, response.json()["code"]) == (410, "job_expired")


@pytest.mark.parametrize("query", ["limit=0", "limit=²", "limit=" + "9" * 5000, "state=lost", "cursor=!", "colour=red"])
def test_a_list_that_cannot_be_is_refused(client: httpx.Client, query: str) -> None:
    assert client.get(f"/v1/jobs?{query}").status_code == 422


@pytest.mark.parametrize("wait", ["soon", "-1", "nan", "inf"])
def test_a_wait_that_cannot_be_is_refused(client: httpx.Client, wait: str) -> None:
    assert client.post(f"/v1/jobs?wait={wait}", json={"model": "moody", "inputs": [[0, 0]]}).status_code == 422


def infer(client: httpx.Client, *row: float, model: str = "moody", **fields: Any) -> httpx.Response:
    one = {"name": "input", "shape": [1, 2], "datatype": "FP64", "data": row}
    return client.post(f"/v2/models/{model}/infer", json={"inputs": [one], **fields})


@pytest.mark.parametrize(
    ("mood", "code", "words"), [(RAISE, "prediction_failed", "ValueError: not in the mood"), (WRONG_SHAPE, "invalid_output", "[1, 1]")]
)
def test_a_prediction_that_fails_says_why_and_the_worker_lives_on(client: httpx.Client, mood: int, code: str, words: str) -> None:
    response = infer(client, mood, 0)
    assert (response.status_code, response.json()["code"]) == (422, code)
    assert words in response.json()["error"]
    assert infer(client, 0, 1).json()["outputs"][0]["data"] == [1.0]


def test_an_answer_that_is_not_a_number_is_null(client: httpx.Client) -> None:
    assert infer(client, NOT_A_NUMBER, 1).json()["outputs"][0]["data"] == [None]


def test_a_timeout_ends_the_wait(client: httpx.Client) -> None:
    response = infer(client, SLEEP, 0.5, parameters={"timeout": 50_000})
    assert (response.status_code, response.json()["code"]) == (504, "deadline_exceeded")


def test_a_model_that_no_worker_holds_is_not_ready_and_times_out(client: httpx.Client) -> None:
    assert client.get("/v2/models/orphan/ready").status_code == 503
    assert infer(client, 0, 1, model="orphan", parameters={"timeout": 50_000}).status_code == 504


def test_a_worker_without_a_model_lives(running: Running, tmp_path: Any) -> None:
    with running.process("worker", models=tmp_path, pool="empty", key_prefix="empty") as (process, url):
        assert httpx.get(f"{url}/livez").status_code == 200
        assert process.poll() is None


@pytest.mark.parametrize("path", ["/nowhere", "/v1/nowhere", "/v2/nowhere", "/v1/jobs/a/b/c"])
def test_a_path_that_is_not_there_is_a_problem_too(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_a_method_that_does_not_exist_is_answered_with_those_that_do(client: httpx.Client) -> None:
    response = client.patch("/v1/jobs")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert response.headers["allow"]
