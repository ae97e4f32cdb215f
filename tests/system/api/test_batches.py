"""Batches: tables and requests, by the official SDK and by hand; every answer the same as in this process."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from app.core.tensors import Tensor
from app.registry.repository import Repository
from app.runtime.arrays import to_array
from app.runtime.loading import load
from app.samples.models import SAMPLES
from tests.misbehaving import RAISE, WELL
from tests.running import Running

FINAL = ("completed", "failed", "expired", "cancelled")
ROWS = 5000


@pytest.fixture(scope="session")
def sdk(running: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)


def ended(running: Running, batch: dict[str, Any]) -> dict[str, Any]:
    """The batch when its stream of events is over."""
    with httpx.stream("GET", f"{running.url}/v1/batches/{batch['id']}/events", timeout=60) as stream:
        for line in stream.iter_lines():
            if line.startswith("data:"):
                batch = json.loads(line[5:])
    assert batch["status"] in FINAL
    return batch


def uploaded(client: httpx.Client, name: str, content: bytes) -> str:
    return str(client.post("/v1/files", files={"file": (name, content)}).json()["id"])


def content(client: httpx.Client, id: str) -> bytes:
    return client.get(f"/v1/files/{id}/content").content


def cancer(rows: int = ROWS) -> tuple[pa.Table, np.ndarray[Any, Any]]:
    data = SAMPLES["breast-cancer"].data()
    values = np.tile(data.held_out, (rows // len(data.held_out) + 1, 1))[:rows] * np.linspace(0.5, 1.5, rows)[:, None]
    return pa.table({"id": [f"n{at}" for at in range(rows)]} | {name: values[:, at] for at, name in enumerate(data.columns)}), values


def predicted(running: Running, model: str, values: np.ndarray[Any, Any], method: str = "predict") -> Any:
    found = load(Repository(running.models), model, "1")
    return to_array(
        found.predict([Tensor("input", "FP64", values.shape, memoryview(np.ascontiguousarray(values).data).cast("B"))], [method])[0]
    )


def array(values: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def as_bytes(table: pa.Table, format: str) -> bytes:
    file = io.BytesIO()
    if format == "parquet":
        pq.write_table(table, file, row_group_size=700)
    elif format == "csv":
        pa.csv.write_csv(table, file)
    else:
        file.write(b"".join(json.dumps(row).encode() + b"\n" for row in table.to_pylist()))
    return file.getvalue()


@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet"])
def test_a_table_is_answered_in_its_order_with_its_other_columns(client: httpx.Client, running: Running, format: str) -> None:
    table, values = cancer()
    file = uploaded(client, f"rows.{format}", as_bytes(table, format))
    answer = client.post("/v1/batches", json={"model": "breast-cancer", "input": file, "method": "predict_proba", "format": "parquet"})
    assert answer.status_code == 200, answer.text
    batch = ended(running, answer.json())
    assert (batch["status"], batch["request_counts"]) == ("completed", {"total": ROWS, "completed": ROWS, "failed": 0})
    assert (batch["error_file_id"], batch["partial_failure"]) == (None, False)
    found = pq.read_table(io.BytesIO(content(client, batch["output_file_id"])))
    assert found["id"].to_pylist() == table["id"].to_pylist()
    np.testing.assert_allclose(found["predict_proba_1"].to_numpy(), predicted(running, "breast-cancer", values, "predict_proba")[:, 1])


def test_arrays_in_and_out(client: httpx.Client, running: Running) -> None:
    _, values = cancer()
    saved = io.BytesIO()
    np.save(saved, values)
    batch = ended(
        running, client.post("/v1/batches", json={"model": "breast-cancer", "input": uploaded(client, "a.npy", saved.getvalue())}).json()
    )
    found = np.load(io.BytesIO(content(client, batch["output_file_id"])))
    assert np.array_equal(found, predicted(running, "breast-cancer", values))


def test_paths_and_columns_of_other_names(client: httpx.Client, running: Running) -> None:
    data = SAMPLES["wine"].data()
    table = pa.Table.from_pandas(data.held_out, preserve_index=False)
    renamed = table.rename_columns(["ALCOHOL" if name == "alcohol" else name for name in table.column_names]).append_column(
        "label", pa.array(data.labels.tolist())
    )
    pq.write_table(renamed, running.folder / "tables" / "wine.parquet")
    body = {"model": "wine", "input": "wine.parquet", "output": "wine.csv", "columns": {"alcohol": "ALCOHOL"}, "keep": ["label"]}
    batch = ended(running, client.post("/v1/batches", json=body).json())
    assert (batch["status"], batch["output_file_id"], batch["output"]) == ("completed", None, "wine.csv")
    found = pa.csv.read_csv(running.folder / "tables" / "wine.csv")
    estimator = load(Repository(running.models), "wine", "1").estimator
    assert found.column_names == ["label", "predict"]
    assert found["predict"].to_pylist() == estimator.predict(data.held_out).tolist()


def test_bad_rows_are_reported_and_the_good_ones_kept(client: httpx.Client, running: Running) -> None:
    lines = [f"{WELL},{at},key{at}" for at in range(300)]
    lines[7], lines[100], lines[200] = f"{RAISE},1,raises", "x,1,text", "1,2"
    text = "a,b,key\n" + "\n".join(lines) + "\n"
    body = {"model": "moody", "input": uploaded(client, "rows.csv", text.encode()), "keep": ["key"]}
    batch = ended(running, client.post("/v1/batches", json=body).json())
    assert (batch["status"], batch["request_counts"]) == ("completed", {"total": 300, "completed": 297, "failed": 3})
    assert batch["partial_failure"]
    found = pa.csv.read_csv(io.BytesIO(content(client, batch["output_file_id"])))
    good = [at for at in range(300) if at not in (7, 100, 200)]
    assert found["key"].to_pylist() == [f"key{at}" for at in good]
    assert found["predict"].to_pylist() == [float(at) for at in good]
    errors = [json.loads(line) for line in content(client, batch["error_file_id"]).splitlines()]
    assert [(one["row"], one["line"], one["code"]) for one in errors] == [
        (7, 9, "prediction_failed"), (100, 102, "invalid_row"), (200, 202, "invalid_row"),
    ]  # fmt: skip
    assert "not in the mood" in errors[0]["detail"]


def requests(endpoint: str, bodies: list[dict[str, Any]]) -> bytes:
    lines = ({"custom_id": f"r{at}", "method": "POST", "url": endpoint, "body": body} for at, body in enumerate(bodies))
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@pytest.mark.parametrize("endpoint", ["/v1/jobs", "/v2/models/diabetes/infer"])
def test_the_sdk_runs_a_batch(sdk: openai.OpenAI, running: Running, endpoint: str) -> None:
    values = SAMPLES["diabetes"].data().held_out
    bodies: list[dict[str, Any]] = [
        {"model": "diabetes", "inputs": values[at : at + 2].tolist()}
        if endpoint == "/v1/jobs"
        else {"inputs": [{"name": "input", "datatype": "FP64", "shape": [2, 10], "data": values[at : at + 2].ravel().tolist()}]}
        for at in range(50)
    ]
    bodies[3] = {"model": "diabetes", "inputs": [[1, 2]]} if endpoint == "/v1/jobs" else {"inputs": []}
    file = sdk.files.create(file=("requests.jsonl", requests(endpoint, bodies)), purpose="batch")
    made = sdk.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", metadata={"who": "us"})  # type: ignore[arg-type]
    assert made.id in [one.id for one in sdk.batches.list(limit=5)]
    ended(running, {"id": made.id})
    batch = sdk.batches.retrieve(made.id)
    assert (batch.status, batch.metadata, batch.endpoint) == ("completed", {"who": "us"}, endpoint)
    assert batch.request_counts is not None
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (50, 49, 1)
    assert batch.output_file_id
    assert batch.error_file_id
    answered = {one["custom_id"]: one["response"] for one in map(json.loads, sdk.files.content(batch.output_file_id).text.splitlines())}
    expected = predicted(running, "diabetes", values)
    for at in (at for at in range(50) if at != 3):
        response = answered[f"r{at}"]
        body = response["body"]
        found = body["result"] if endpoint == "/v1/jobs" else body["outputs"][0]["data"]
        assert (response["status_code"], found) == (200, expected[at : at + 2].tolist())
    [failed] = map(json.loads, sdk.files.content(batch.error_file_id).text.splitlines())
    assert (failed["custom_id"], failed["response"]["status_code"]) == ("r3", 422)


LINE = {"custom_id": "a", "method": "POST", "url": "/v1/jobs", "body": {"model": "diabetes", "inputs": [[0] * 10]}}


@pytest.mark.parametrize(
    ("lines", "reported"),
    [
        ([LINE, "{"], "line 2: invalid_json_line"),
        ([LINE, LINE], "line 2: duplicate_custom_id: custom_id 'a' is already used in line 1"),
        ([LINE, LINE | {"custom_id": "b", "url": "/v1/other"}], "line 2: url_mismatch"),
        ([LINE, LINE | {"custom_id": "b", "body": {"model": "wine"}}], "line 2: model_mismatch"),
        ([LINE, LINE | {"custom_id": "b", "method": "GET"}], "line 2: invalid_request: method is 'GET'"),
        ([LINE, {"custom_id": "b"}], "line 2: invalid_request: method is missing"),
        ([LINE, LINE | {"custom_id": 7}], "line 2: invalid_request: custom_id must be"),
        ([LINE, '{"custom_id": ' + "[" * 99 + "]" * 99 + "}"], "line 2: invalid_request: the JSON is nested more than 64 levels deep"),
        ([LINE | {"custom_id": str(at)} for at in range(101)], "too_many_tasks"),
        (["\n", LINE, LINE], "line 3: duplicate_custom_id: custom_id 'a' is already used in line 2"),
        (["{"], "the first request does not name a model"),
        (["\n \n"], "file contains no requests"),
        ([], "file contains no requests"),
    ],
)
def test_a_bad_file_of_requests_is_refused(sdk: openai.OpenAI, client: httpx.Client, lines: list[Any], reported: str) -> None:
    text = "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    file = sdk.files.create(file=("requests.jsonl", text.encode()), purpose="batch")
    before = [one["id"] for one in client.get("/v1/batches").json()["data"]]
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        sdk.batches.create(input_file_id=file.id, endpoint="/v1/jobs", completion_window="24h")  # type: ignore[arg-type]
    assert reported in str(caught.value)
    assert [one["id"] for one in client.get("/v1/batches").json()["data"]] == before


@pytest.mark.parametrize(
    ("name", "data", "more", "status", "reported"),
    [
        ("a.csv", b"a,b,c\n1,2,3\n", {}, 422, "'moody' takes 2 columns, and these are 3: 'a', 'b', 'c'"),
        ("a.csv", b"a\n1\n", {}, 422, "'moody' takes 2 columns, and these are 1"),
        ("a.csv", b"a,b\n1,2\n", {"keep": ["c"]}, 422, "The file has no column 'c'"),
        ("a.csv", b"a,b\n1,2\n", {"columns": ["a", "z"]}, 422, "The file lacks 'z'"),
        ("a.csv", b"a,b\n1,2\n", {"columns": "a"}, 422, "Use a list of the file's columns"),
        ("a.csv", b"a,b\n1,\xff\n", {}, 422, "Line 2: the byte 0xff is not UTF-8"),
        ("a.csv", b'a,b\n1,"2\n', {}, 422, "a quote that opens here is never closed"),
        ("a.parquet", b"PAR1 and no more", {}, 422, "cut off or damaged"),
        ("a.parquet", as_bytes(pa.table({"a": [1.0] * 9, "b": [2.0] * 9}), "parquet")[:-9], {}, 422, "cut off or damaged"),
        ("a.npy", array(np.ones((2, 2)))[:-8], {}, 422, "The NPY file is cut off"),
        ("a.csv", "a,b\n1,2\n".encode("utf-16"), {}, 422, "is text in UTF-16 or UTF-32. Save it as UTF-8."),
        ("a.csv", b"a,a\n1,2\n", {}, 422, "two columns are called 'a'"),
        ("a.csv", b"bmi,bp\n1,2\n", {"model": "diabetes"}, 422, "The file lacks 'age', 'sex'"),
        ("a.csv", b"a,b\n1,2\n", {"input": "folder"}, 404, "folder cannot be read: it is not a file"),
        ("a.csv", b"a,b\n1,2\n", {"input": "outside/secret.csv"}, 422, "outside/secret.csv is not below"),
        ("a.csv", b"a,b,predict\n1,2,3\n", {"keep": ["predict"]}, 422, "The answers have a column 'predict' too"),
        ("a.csv", b"a,b,k\n1,2,x\n", {"keep": ["k"], "format": "npy"}, 422, "NPY holds numbers only"),
        ("a.csv", b"a,b\n1,2\n", {"format": "xlsx"}, 422, "Field format must be 'csv', 'jsonl', 'npy' or 'parquet', not 'xlsx'"),
        ("a.csv", b"a,b\n1,2\n", {"method": "guess"}, 422, "guess"),
        ("a.csv", b"a,b\n1,2\n", {"model": "none"}, 404, "Model 'none' does not exist"),
        ("a.csv", b"a,b\n1,2\n", {"completion_window": "soon"}, 422, "Invalid completion_window 'soon'"),
        ("a.csv", b"a,b\n1,2\n", {"owner": 7}, 422, "Field owner must be a string, not 7"),
        ("a.csv", b"a,b\n1,2\n", {"output": "../x.csv"}, 422, "../x.csv is not below"),
        ("a.csv", b"a,b\n1,2\n", {"output": "nowhere/x.csv"}, 422, "nowhere/x.csv cannot be written: the folder "),
        ("a.csv", b"a,b\n1,2\n", {"output": "folder"}, 422, "folder cannot be written: it is a folder"),
        ("a.csv", b"a,b\n1,2\n", {"output": "x" * 300}, 422, "cannot be written: File name too long"),
        ("a.csv", b"a,b\n1,2\n", {"input": "x" * 300}, 404, "cannot be read: File name too long"),
        ("a.csv", b"a,b\n1,2\n", {"input": "/etc/passwd"}, 422, "/etc/passwd is not below"),
        ("a.csv", b"a,b\n1,2\n", {"input": "none.csv"}, 404, "none.csv cannot be read"),
        ("a.csv", b"a,b\n1,2\n", {"input": "file-0123456789"}, 404, "File 'file-0123456789' does not exist"),
        ("a.csv", b"a,b\n1,2\n", {"input": "s3://bucket/a.csv"}, 422, "s3:// is not allowed"),
        ("a.csv", b"a,b\n1,2\n", {"input": None}, 422, "Field input is missing"),
        ("a.csv", b"a,b\n1,2\n", {"rows": 7}, 422, "Unknown field 'rows'"),
        ("a.csv", b"a,b\n1,2\n", {"metadata": {"a": 1}}, 422, "Field metadata.a must be a string, not 1"),
        ("a.csv", b"a,b\n1,2\n", {"output_expires_after": {"seconds": 0}}, 422, "Field output_expires_after.seconds must be at least 1"),
    ],
)  # fmt: skip
def test_a_bad_table_or_order_is_refused(
    client: httpx.Client, running: Running, name: str, data: bytes, more: dict[str, Any], status: int, reported: str
) -> None:
    tables = running.folder / "tables"
    (tables / "folder").mkdir(exist_ok=True)
    if not (tables / "outside").is_symlink():
        (tables / "outside").symlink_to(running.folder)
    (running.folder / "secret.csv").write_text("a,b\n1,2\n")
    before = [one["id"] for one in client.get("/v1/batches").json()["data"]]
    answer = client.post("/v1/batches", json={"model": "moody", "input": uploaded(client, name, data)} | more)
    assert (answer.status_code, reported in answer.json()["detail"]) == (status, True), answer.text
    assert answer.json()["error"]["message"] == answer.json()["detail"]
    assert [one["id"] for one in client.get("/v1/batches").json()["data"]] == before


def test_a_model_that_never_works_ends_the_batch(client: httpx.Client, running: Running) -> None:
    text = "a,b\n" + f"{RAISE},1\n" * 1000
    batch = ended(running, client.post("/v1/batches", json={"model": "moody", "input": uploaded(client, "a.csv", text.encode())}).json())
    assert (batch["status"], batch["errors"]["data"][0]["code"]) == ("failed", "prediction_failed")


def test_what_is_not_there_is_not_found(client: httpx.Client) -> None:
    for method, path in (
        ("GET", ""),
        ("POST", "/cancel"),
        ("POST", "/resume"),
        ("GET", "/parts"),
        ("GET", "/parts/0/content"),
        ("GET", "/events"),
    ):
        answer = client.request(method, f"/v1/batches/batch_none{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "batch_not_found")


def test_a_batch_that_ended_well_is_neither_cancelled_nor_resumed(client: httpx.Client, running: Running) -> None:
    batch = ended(running, client.post("/v1/batches", json={"model": "moody", "input": uploaded(client, "a.csv", b"a,b\n0,1\n")}).json())
    for what in ("cancel", "resume"):
        answer = client.post(f"/v1/batches/{batch['id']}/{what}")
        assert (answer.status_code, answer.json()["code"]) == (409, "batch_conflict")


def test_a_file_that_is_deleted_while_it_is_read_fails_the_batch(client: httpx.Client, running: Running) -> None:
    path: Path = running.folder / "tables" / "gone.csv"
    path.write_text("a,b\n" + "4,0.2\n" * 400)
    made = client.post("/v1/batches", json={"model": "moody", "input": "gone.csv"}).json()
    path.unlink()
    batch = ended(running, made)
    assert (batch["status"], batch["errors"]["data"][0]["code"]) == ("failed", "file_not_found")
    assert "gone.csv cannot be read" in batch["errors"]["data"][0]["message"]


def test_a_file_that_another_takes_the_place_of_is_not_mixed_with_it(client: httpx.Client, running: Running) -> None:
    path, rows = running.folder / "tables" / "other.csv", "4,0.2\n" * 400
    path.write_text("a,b\n" + rows)
    made = client.post("/v1/batches", json={"model": "moody", "input": "other.csv"}).json()
    kept = path.rename(path.with_name("first.csv"))
    path.write_text("a,b\n" + rows.replace("2", "1"))
    batch = ended(running, made)
    [error] = batch["errors"]["data"]
    assert (batch["status"], error["code"], error["param"]) == ("failed", "invalid_file", "/input")
    assert "other.csv is not the file that the batch began with. Put that one back and resume" in error["message"]
    kept.replace(path)
    client.post(f"/v1/batches/{made['id']}/resume").raise_for_status()
    assert ended(running, batch)["status"] == "completed"
