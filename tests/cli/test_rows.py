"""Rows as people write them: for `predict --data`, and for the sample of a model."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from celeriac_cli import rows
from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.tables import TableOptions

from app.cli import sample

Read = Callable[[str], list[Any]]


@pytest.fixture(params=[rows.read, sample.read], ids=["predict", "publish"])
def read(request: pytest.FixtureRequest) -> Read:
    """Both commands read the same rows from a file."""
    function: Read = request.param
    return function


def file(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\n1,2\n3.5,4\n", [{"a": 1.0, "b": 2}, {"a": 3.5, "b": 4}]),
        ("a,b\n1,2\n", [{"a": 1, "b": 2}]),
        ("a;b\n1,5;2\n", [{"a": "1,5", "b": 2}]),
        ("a\tb\n1\t2\n", [{"a": 1, "b": 2}]),
        ("a,b\n1,\n,NaN\n", [{"a": 1, "b": None}, {"a": None, "b": None}]),
        ("grade\nA\n1\n", [{"grade": "A"}, {"grade": "1"}]),
        ("ok\ntrue\nFalse\n", [{"ok": True}, {"ok": False}]),
        ('name,n\n"Doe, Jane",1\n', [{"name": "Doe, Jane", "n": 1}]),
        ("\ufeffa\r\n1\r\n\r\n2\r\n", [{"a": 1}, {"a": 2}]),
    ],
)
def test_a_csv_is_read_as_it_is_meant(text: str, expected: list[Any], tmp_path: Path, read: Read) -> None:
    assert read(file(tmp_path, "rows.csv", text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[1, 2]]", [[1, 2]]),
        ("[1, 2]", [[1, 2]]),
        ('["a", "b"]', ["a", "b"]),
        ('{"a": 1}', [{"a": 1}]),
        ('[{"a": null}]', [{"a": None}]),
        ('{"inputs": [[1]]}', [[1]]),
    ],
)
def test_json_is_rows_a_row_or_a_request(text: str, expected: list[Any], tmp_path: Path, read: Read) -> None:
    assert read(file(tmp_path, "rows.json", text)) == expected


@pytest.mark.parametrize(("text", "expected"), [("[[1]]", [[1]]), ("a,b\n1,2\n", [{"a": 1, "b": 2}])])
def test_standard_input_tells_by_its_first_character(text: str, expected: list[Any], monkeypatch: pytest.MonkeyPatch, read: Read) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert read("-") == expected


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("rows.csv", "a,b\n1,2\n3\n", "line 3: it has 1 value, and the first line has 2 columns"),
        ("rows.csv", "", "contains no rows"),
        ("rows.csv", "a,b\n", "contains no rows"),
        ("rows.csv", 'a\n"open\n', "line 2"),
        ("rows.csv", "0\n1.0\n2.0\n", "line 1: it holds numbers, where the names of the columns are expected: set header to false"),
        ("rows.json", "[1,", "not valid JSON"),
        ("rows.json", "[[NaN]]", "write null for a missing value"),
        ("rows.json", "3", "must hold a list of rows"),
    ],
)
def test_what_cannot_be_read_is_reported_with_its_place(name: str, text: str, sentence: str, tmp_path: Path, read: Read) -> None:
    with pytest.raises(CLIError, match=sentence) as caught:
        read(file(tmp_path, name, text))
    assert caught.value.exit == Exit.USAGE


def test_a_missing_file_is_not_found(read: Read) -> None:
    with pytest.raises(CLIError, match="No such file") as caught:
        read("nowhere.csv")
    assert caught.value.exit == Exit.NOT_FOUND


def test_another_encoding_is_reported(tmp_path: Path, read: Read) -> None:
    (tmp_path / "rows.csv").write_bytes("größe\n1\n".encode("latin-1"))
    with pytest.raises(CLIError, match="not UTF-8"):
        read(str(tmp_path / "rows.csv"))


IRIS = {"name": "iris", "inputs": [{"name": "input-0", "datatype": "FP64", "shape": [-1, 2], "columns": ["a", "b"]}]}
MIXED = {
    "name": "people",
    "inputs": [
        {"name": "age", "datatype": "INT64", "shape": [-1]},
        {"name": "city", "datatype": "BYTES", "shape": [-1]},
        {"name": "since", "datatype": "TIMESTAMP", "shape": [-1]},
    ],
}
IMAGE = {"name": "image", "inputs": [{"name": "pixels", "datatype": "FP64", "shape": [-1, 2, 2]}]}


@pytest.mark.parametrize(
    ("manifest", "text", "expected"),
    [
        (IRIS, "b,a,note\n2,1,x\n4,,y\n", [["1", "2"], [None, "4"]]),
        (IRIS, "a,b\n1,ten\n", [["1", "ten"]]),  # the server reads cells, and names the row and the column
        (MIXED, "city,since,age\n007,20240102,30.0\n,NA,n/a\n", [["30.0", "007", "20240102"], [None, None, None]]),
        (IMAGE, "a,b,c,d\n1,2,3,4\n", [[["1", "2"], ["3", "4"]]]),
        (IRIS, ",a,b\n0,1,2\n", [["1", "2"]]),
    ],
)
def test_a_model_takes_its_columns_by_name(manifest: dict[str, Any], text: str, expected: list[Any], tmp_path: Path) -> None:
    assert rows.read(file(tmp_path, "rows.csv", text), manifest) == expected


def test_options_say_how_csv_is_written(tmp_path: Path) -> None:
    options = TableOptions(delimiter=";", decimal=",", quote="'", encoding="latin-1", na_values=("-",), header=False)
    (tmp_path / "rows.csv").write_bytes("'größe; in m';1,5\n-;-\n".encode("latin-1"))
    assert rows.read(str(tmp_path / "rows.csv"), None, options) == [{"0": "größe; in m", "1": 1.5}, {"0": None, "1": None}]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"decimal": "x"}, r"decimal is 'x'. Use . or a comma."),
        ({"delimiter": "ab"}, "delimiter is 'ab'. Use one ASCII character"),
        ({"decimal": ",", "delimiter": ","}, "must differ"),
        ({"encoding": "klingon"}, "Encoding 'klingon' is not supported"),
    ],
)
def test_an_option_that_is_wrong_is_named(options: dict[str, str], sentence: str) -> None:
    with pytest.raises(CLIError, match=sentence) as caught:
        TableOptions(**options)  # type: ignore[arg-type]
    assert caught.value.exit == Exit.USAGE


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(CLIError, match=r"lacks 'b', which 'iris' takes; it has 'a', 'c'"):
        rows.read(file(tmp_path, "rows.csv", "a,c\n1,2\n"), IRIS)


def test_other_formats_hold_the_same_rows(tmp_path: Path) -> None:
    frame = pd.DataFrame({"b": [2.0, 4.0], "a": [1.0, 3.0], "note": ["x", None]})
    frame.to_parquet(tmp_path / "rows.parquet", index=False)
    np.save(tmp_path / "rows.npy", frame[["a", "b"]].to_numpy())
    lines = "".join(json.dumps(record) + "\n" for record in frame[["a", "b"]].to_dict(orient="records"))
    for path in (tmp_path / "rows.parquet", tmp_path / "rows.npy", file(tmp_path, "rows.jsonl", lines)):
        assert rows.read(str(path), IRIS) == [[1.0, 2.0], [3.0, 4.0]]


def test_a_line_that_is_not_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(CLIError, match="line 2: not valid JSON"):
        rows.read(file(tmp_path, "rows.jsonl", '{"a": 1}\n{\n'))
