"""Tables that were answered wrongly once, through the interfaces a user has. The right value is what pandas and scikit-learn answer."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from celeriac_cli.errors import Exit
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from app.registry.repository import Repository
from app.runtime.publishing import publish
from tests.cli.conftest import Celeriac
from tests.cli.conftest import celeriac as celeriac
from tests.misbehaving import SLEEP, Moody
from tests.running import Running, wait_until_ready

POOL = "tables"


def mixed(*numbers: str) -> ColumnTransformer:
    words = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    return make_column_transformer((words, ["city"]), (SimpleImputer(), list(numbers)))


@pytest.fixture(scope="module")
def cities() -> Any:
    """T4: no city is missing in what it was fitted on."""
    frame = pd.DataFrame({"city": ["bern", "bern", "basel", "chur"], "x": [1.0, 2.0, 3.0, 4.0]})
    return make_pipeline(mixed("x"), LinearRegression()).fit(frame, [1.0, 2.0, 30.0, 40.0]), frame


@pytest.fixture(scope="module")
def models(running: Running, cities: Any) -> Iterator[None]:
    repository = Repository(running.models)
    x = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
    publish(repository, LinearRegression().fit(x, x["x"]), "line", sample=x, pool=POOL, promote="production")
    ages = pd.DataFrame({"age": [10, 20, 30], "income": [1.0, 5.0, 2.0]})
    model = make_pipeline(SimpleImputer(), LinearRegression()).fit(ages, 2 * ages["age"])
    publish(repository, model, "ages", sample=ages, pool=POOL, promote="production")
    publish(repository, model, "sparse", sample=ages, pool=POOL, promote="production", reading={"decimal": ",", "na_values": ["-9"]})
    publish(repository, cities[0], "cities", sample=cities[1], pool=POOL, promote="production")
    spam = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["buy now", "hello you", "buy buy", "hello"], [1, 0, 1, 0])
    publish(repository, spam, "spam", sample=np.array(["buy now", "hello"], dtype=object), format="joblib", pool=POOL, promote="production")
    publish(repository, Moody(), "sleepy", sample=np.zeros((3, 2)), columns=["a", "b"], format="joblib", pool=POOL, promote="production")
    (running.folder / "tables").mkdir(exist_ok=True)
    with running.process("worker", pool=POOL, processes=2):
        for name in ("line", "ages", "sparse", "cities", "spam", "sleepy"):
            wait_until_ready(f"{running.url}/v2/models/{name}/ready")
        yield


@pytest.fixture
def api(running: Running, models: None) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, timeout=60) as found:
        yield found


def uploaded(api: httpx.Client, content: str | bytes, name: str) -> str:
    data = content if isinstance(content, bytes) else content.encode()
    return str(api.post("/v1/files", files={"file": (name, data)}).json()["id"])


def ended(api: httpx.Client, batch: dict[str, Any]) -> dict[str, Any]:
    with api.stream("GET", f"/v1/batches/{batch['id']}/events") as stream:
        for line in stream.iter_lines():
            if line.startswith("data:"):
                batch = json.loads(line[5:])
    return batch


def answered(
    api: httpx.Client, model: str, content: str | bytes, name: str = "rows.csv", **options: Any
) -> tuple[str, list[dict[str, Any]]]:
    """The output, and the errors."""
    started = api.post("/v1/batches", json={"model": model, "input": uploaded(api, content, name), **options})
    assert started.status_code == 200, started.text
    batch = ended(api, started.json())
    assert batch["status"] == "completed", batch
    texts = [api.get(f"/v1/files/{id}/content").text if id else "" for id in (batch["output_file_id"], batch["error_file_id"])]
    return texts[0], [json.loads(line) for line in texts[1].splitlines()]


def values(api: httpx.Client, model: str, content: str | bytes, name: str = "rows.csv", **options: Any) -> list[float]:
    output, errors = answered(api, model, content, name, format="jsonl", keep=[], **options)
    assert not errors, errors
    return [round(json.loads(line)["predict"], 6) for line in output.splitlines()]


def test_a_quote_inside_a_value_loses_no_row(api: httpx.Client) -> None:  # T1
    output, errors = answered(api, "line", 'part,x\n5" pipe,1\nplain,2\nhose,3\n6" pipe,4\nround,5\n', format="jsonl")
    assert not errors
    assert [(row["part"], round(row["predict"], 6)) for row in map(json.loads, output.splitlines())] == [
        ('5" pipe', 1.0), ("plain", 2.0), ("hose", 3.0), ('6" pipe', 4.0), ("round", 5.0),
    ]  # fmt: skip


def test_a_fraction_is_not_cut_to_a_whole_number(api: httpx.Client) -> None:  # T2
    output, errors = answered(api, "ages", '{"age": 30.9, "income": 1.0}\n{"age": 30.0, "income": 1.0}\n', "rows.jsonl")
    assert round(json.loads(output)["predict"], 6) == 60.0
    assert [(one["line"], one["detail"]) for one in errors] == [(1, "Column 'age': 30.9 is not a whole number.")]


def test_carried_values_stay_what_they_are(api: httpx.Client) -> None:  # T3, T10
    carried = ["1", "18446744073709551616", "0.10", '"A2"', "null", '{"a": [1.50]}', "true"]
    lines = [f'{{"id": {value}, "x": {at}}}' for at, value in enumerate(carried)] + ['{"x": 7, "late": 1e2}']
    output, errors = answered(api, "line", "\n".join(lines), "rows.jsonl")
    assert not errors
    rows = output.splitlines()
    assert [row.partition(',"predict"')[0] for row in rows] == [f'{{"id":{value}' for value in carried] + ['{"late":1e2']
    # Whole numbers for more than the first megabyte, then a fraction.
    wide = "".join(f'{{"n":{at},"x":1}}\n' for at in range(80_000)) + '{"n":0.5,"x":2}\n'
    output, _ = answered(api, "line", wide, "rows.jsonl", format="csv")
    assert output.splitlines()[-1].startswith("0.5,")


def test_an_empty_cell_and_null_are_one_missing_value(api: httpx.Client, cities: Any) -> None:  # T4
    model, _ = cities
    right = model.predict(pd.DataFrame({"city": [None, "chur"], "x": [1.0, 4.0]})).round(6).tolist()
    assert values(api, "cities", "city,x\n,1\nchur,4\n") == right
    assert values(api, "cities", '{"city": null, "x": 1}\n{"city": "chur", "x": 4}\n', "rows.jsonl") == right
    job = api.post("/v1/jobs?wait=20", json={"model": "cities", "inputs": [{"city": None, "x": 1}, {"city": "chur", "x": 4}]}).json()
    assert np.round(job["result"], 6).tolist() == right


def test_whole_numbers_may_be_written_as_floats_or_be_missing(api: httpx.Client) -> None:  # T7
    mean = 2 * 20.0
    assert values(api, "ages", "age,income\n30.0,1\n,2\n") == [60.0, mean]
    assert values(api, "ages", '{"age": 30.0, "income": 1}\n{"income": 2}\n', "rows.jsonl") == [60.0, mean]
    job = api.post("/v1/jobs?wait=20", json={"model": "ages", "inputs": [{"age": 30.0, "income": 1}, {"age": None, "income": 2}]}).json()
    assert np.round(job["result"], 6).tolist() == [60.0, mean]
    job = api.post("/v1/jobs?wait=20", json={"model": "ages", "inputs": [{"age": "30", "income": "1.5"}]}).json()  # T14
    assert np.round(job["result"], 6).tolist() == [60.0]


def table(api: httpx.Client, content: str, *, media_type: str = "text/csv", key: str = "", **query: Any) -> httpx.Response:
    headers = {"content-type": media_type} | ({"idempotency-key": f'"{key}"'} if key else {})
    return api.post("/v1/jobs/table", params={"model": "ages", "wait": 20, **query}, content=content, headers=headers)


def test_a_table_can_be_the_body_of_a_request(api: httpx.Client) -> None:
    answer = table(api, "age;income\n30.0;1\n-;2\n", delimiter=";", na_values=["-", "?"])
    assert (answer.status_code, np.round(answer.json()["result"], 6).tolist()) == (200, [60.0, 40.0])
    answer = table(api, '{"age": 30, "income": null}\n', media_type="application/jsonl", wait=0)
    assert (answer.status_code, answer.json()["rows"], answer.headers["location"]) == (202, 1, f"/v1/jobs/{answer.json()['id']}")
    with api.stream("POST", "/v1/jobs/table?model=ages", content="age,income\n1,1\n", headers={"content-type": "text/csv", "accept": "text/event-stream"}) as stream:  # fmt: skip
        assert "event: completed" in "".join(stream.iter_text())


def test_a_table_that_is_sent_again_is_the_same_job(api: httpx.Client) -> None:
    first, second = (table(api, "age,income\n30,1\n", key="table-1").json()["id"] for _ in range(2))
    assert first == second
    assert table(api, "age,income\n31,1\n", key="table-1").json()["code"] == "idempotency_mismatch"
    assert table(api, "age,income\n30,1\n", key="table-1", decimal=",").json()["code"] == "idempotency_mismatch"


@pytest.mark.parametrize(
    ("content", "options", "refusal"),
    [
        ("age,income\n30,1\nten,2\n", {}, (422, "invalid_file", None, "The table: Line 3: Column 'age': 'ten' is not a number.")),
        ("age\n30\n", {}, (422, "invalid_file", "/columns", "The file lacks 'income', which 'ages' takes; it has 'age'. Rename them, or say which is which in columns")),
        ("", {}, (422, "invalid_file", None, "The table: It has no rows")),
        ("age,income\n30,1\n", {"decimal": "x"}, (422, "invalid_input", "/decimal", "Parameter decimal must be '.' or ',', not 'x'.")),
        ("age,income\n30,1\n", {"separator": ";"}, (422, "unknown_field", "/separator", "Unknown field 'separator'.")),
        ("age,income\n30,1\n", {"media_type": "application/xml"}, (415, "unsupported_media_type", None, "Unsupported content type 'application/xml'. Send text/csv, for example with curl -H 'Content-Type: text/csv'.")),
        ("age,income\n30,1\n", {"model": "nobody"}, (404, "model_not_found", "/model", "")),
        ("age,income\n30,1\n", {"method": "guess"}, (422, "invalid_input", "/method", "")),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_predicted_is_refused(api: httpx.Client, content: str, options: dict[str, Any], refusal: tuple[Any, ...]) -> None:  # fmt: skip
    problem = table(api, content, **options).json()
    *expected, sentence = refusal
    pointer = next((error["pointer"] for error in problem.get("errors", ())), None)
    assert [problem["status"], problem["code"], pointer] == expected
    assert problem["detail"].startswith(sentence)


def test_a_header_of_numbers_is_not_a_row(celeriac: Celeriac, models: None, running: Running, tmp_path: Path) -> None:  # T6
    (tmp_path / "f.csv").write_text("0\n1.0\n2.0\n")
    ended = celeriac("predict", "line", "--data", str(tmp_path / "f.csv"), "--url", running.url)
    assert (ended.exit, "Set header to false" in ended.err) == (Exit.USAGE, True)
    for option, count in (("--header", 2), ("--no-header", 3)):
        assert (
            len(celeriac("predict", "line", "--json", "--data", str(tmp_path / "f.csv"), option, "--url", running.url).json["result"])
            == count
        )


def test_the_command_line_reads_a_file_as_the_training_did(celeriac: Celeriac, api: httpx.Client, running: Running, tmp_path: Path) -> None:
    text = "age;income\n30;1,5\n-9;2,0\n"
    (tmp_path / "rows.csv").write_text(text)
    result = celeriac("predict", "sparse", "--json", "--data", str(tmp_path / "rows.csv"), "--url", running.url).json["result"]
    assert np.round(result, 6).tolist() == values(api, "sparse", text) == [60.0, 40.0]


def test_a_sparse_or_bad_line_is_one_row(api: httpx.Client) -> None:
    sparse = '{"age":1,"income":2}\n{"id":2}\n{"age":3,"income":1}\n'
    output, errors = answered(api, "ages", sparse, "rows.jsonl")
    assert ([json.loads(line).get("id") for line in output.splitlines()], errors) == ([None, 2, None], [])
    missing = "'x' is missing, and the model takes no missing values"
    for lines, completed, failed in (
        ('{"x":1}\n{"x": oops}\n', 1, [(2, "it is not JSON")]),
        ('{"x":1}\n{"id":2}\n{"x":3}\n', 2, [(2, missing)]),
        ('{"x":1}\n{}\n{}\n', 1, [(2, missing), (3, missing)]),
        ('{"x":1,"id":"\\ud83d"}\n{"x":2,"id":"\\ud83d\\ude00"}\n', 1, [(1, "it is not Unicode text")]),
    ):
        for format in ("jsonl", "csv"):
            output, errors = answered(api, "line", lines, "rows.jsonl", format=format)
            assert len(output.splitlines()) == completed + (format == "csv"), output
            assert [(error["line"], error["detail"].partition(":")[0]) for error in errors] == failed


def test_half_of_a_surrogate_pair_is_described_in_a_body(api: httpx.Client) -> None:
    body = r'{"model": "line", "inputs": [{"x": 1, "id": "\ud83d"}]}'
    answer = api.post("/v1/jobs", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")
    assert answer.json()["detail"].startswith("The body is not Unicode text: the escape at character 46 is half of a surrogate pair.")


def test_bytes_are_carried_where_the_output_can_hold_them(api: httpx.Client) -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"x": [1.0], "raw": [b"\xff\x00"]}), file)
    output, _ = answered(api, "line", file.getvalue(), "rows.parquet", format="jsonl")
    assert json.loads(output)["raw"] == {"b64": "/wA="}
    assert answered(api, "line", file.getvalue(), "rows.parquet", format="csv", keep=[])[1] == []
    batch = {"model": "line", "input": uploaded(api, file.getvalue(), "rows.parquet"), "format": "csv"}
    answer = api.post("/v1/batches", json=batch).json()
    assert (answer["code"], answer["detail"]) == (
        "invalid_input",
        "CSV cannot hold the column 'raw' of type binary. Write Parquet or JSONL, or set keep to the columns to carry, without this one.",
    )


def test_text_after_a_closing_quote_is_not_joined_to_the_value(api: httpx.Client) -> None:
    reason = "text follows a closing quote: write each quote inside a quoted value twice."
    output, errors = answered(api, "line", 'x,y\n1,"a"b\n2,c\n3,"a ""b"""\n', format="jsonl")
    assert [json.loads(line)["y"] for line in output.splitlines()] == ["c", 'a "b"']
    assert [(error["line"], error["detail"]) for error in errors] == [(2, f"Column 'y': {reason}")]
    answer = table(api, 'age,income\n1,2\n"3"0,1\n')
    assert (answer.status_code, answer.json()["detail"]) == (422, f"The table: Line 3: Column 'age': {reason}")


def test_text_is_one_value_a_row(celeriac: Celeriac, models: None, running: Running, tmp_path: Path) -> None:  # T11
    (tmp_path / "t.json").write_text('["buy now", "hello"]')
    (tmp_path / "t.csv").write_text("message\nbuy now\nhello\n")
    for name in ("t.json", "t.csv"):
        assert celeriac("predict", "spam", "--json", "--data", str(tmp_path / name), "--url", running.url).json["result"] == [1, 0]


def test_missing_values_in_json_and_empty_files(api: httpx.Client) -> None:  # T12
    answer = api.post("/v1/jobs", content=b'{"model": "line", "inputs": [[NaN]]}', headers={"content-type": "application/json"})
    assert (answer.status_code, "Write null" in answer.json()["detail"]) == (400, True), answer.text
    for content, name, output in (("", "rows.csv", ""), ("x,id\n", "rows.csv", '"id","predict"\n'), ("", "rows.jsonl", "")):
        assert answered(api, "line", content, name) == (output, []), name
    request = {"custom_id": "a", "method": "POST", "url": "/v1/jobs", "body": {"model": "line", "inputs": [[1.0]]}}
    file = uploaded(api, b"\xef\xbb\xbf" + json.dumps(request).encode(), "asked.jsonl")
    batch = ended(api, api.post("/v1/batches", json={"input_file_id": file, "endpoint": "/v1/jobs"}).json())
    assert batch["request_counts"] == {"total": 1, "completed": 1, "failed": 0}


def test_characters_of_a_file_can_be_named(api: httpx.Client) -> None:  # T13
    german = "größe|x\n'a|b'|1,5\nnichts|-\n".encode("cp1252")
    output, errors = answered(
        api, "line", german, format="jsonl", delimiter="|", decimal=",", quote="'", encoding="cp1252", na_values=["-"]
    )
    assert json.loads(output) == {"größe": "a|b", "predict": pytest.approx(1.5)}
    assert [one["detail"] for one in errors] == ["'x' is missing, and the model takes no missing values"]
    wrong = api.post("/v1/batches", json={"model": "line", "input": uploaded(api, german, "x.csv"), "encoding": "utf-16"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/encoding")


@pytest.mark.parametrize("spelling", ["./ok.csv", "sub/../ok.csv", "link.csv", "hard.csv", "absolute"])
def test_an_output_that_is_the_input_is_refused(api: httpx.Client, running: Running, spelling: str) -> None:
    tables = running.folder / "tables"
    (tables / "sub").mkdir(exist_ok=True)
    path = tables / "ok.csv"
    path.write_text("x\n1\n2\n")
    for name in ("link.csv", "hard.csv"):
        (tables / name).unlink(missing_ok=True)
    (tables / "link.csv").symlink_to(path)
    (tables / "hard.csv").hardlink_to(path)
    output = str(path) if spelling == "absolute" else spelling
    answer = api.post("/v1/batches", json={"model": "line", "input": "ok.csv", "output": output})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/output"), answer.text
    assert path.read_text() == "x\n1\n2\n"


def test_two_running_batches_do_not_share_an_output(api: httpx.Client, running: Running) -> None:
    slow = "a,b\n" + f"{SLEEP},0.2\n" * 40
    first = api.post("/v1/batches", json={"model": "sleepy", "input": uploaded(api, slow, "s.csv"), "output": "shared.csv"}).json()
    body = {"model": "sleepy", "input": uploaded(api, "a,b\n1,2\n", "s.csv"), "output": "./shared.csv"}
    refused = api.post("/v1/batches", json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "batch_conflict"), refused.text
    api.post(f"/v1/batches/{first['id']}/cancel")
    assert ended(api, first)["status"] == "cancelled"
    assert api.post("/v1/batches", json=body).status_code == 200


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (
            NPY := b"\x93NUMPY\x01\x00\x76\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (-5, 10), }".ljust(117) + b"\n",
            "a.npy",
        ),
        (NPY.replace(b"(-5, 10)", b"(0, 10000000)"), "b.npy"),
        (NPY.replace(b"(-5, 10)", b"(9999999999, 0)"), "c.npy"),
        (b'"x\n1\n2\n', "d.csv"),
        (b"x" * 200_000 + b"\n1\n", "e.csv"),
        (",".join(f"c{at}" for at in range(40_000)).encode() + b"\n" + b",".join([b"1"] * 40_000) + b"\n", "f.csv"),
    ],
)
def test_a_hostile_file_is_refused_by_a_sentence(api: httpx.Client, content: bytes, name: str) -> None:
    answer = api.post("/v1/batches", json={"model": "ages", "input": uploaded(api, content, name)})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_file"), answer.text
