"""Rows as people write them, for the sample of a model."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from celeriac_cli.errors import CLIError, Exit

from app.cli import sample


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
def test_a_csv_is_read_as_it_is_meant(text: str, expected: list[Any], tmp_path: Path) -> None:
    assert sample.read(file(tmp_path, "rows.csv", text)) == expected


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
def test_json_is_rows_a_row_or_a_request(text: str, expected: list[Any], tmp_path: Path) -> None:
    assert sample.read(file(tmp_path, "rows.json", text)) == expected


@pytest.mark.parametrize("types", [{}, {"at": "TIMESTAMP"}])
@pytest.mark.parametrize(("cell", "zone"), [("2026-01-31 10:00", None), ("2026-01-31T12:00+02:00", UTC)])
def test_the_times_of_a_sample_keep_their_zone(cell: str, zone: Any, types: dict[str, str], tmp_path: Path) -> None:
    expected: list[dict[str, Any]] = [{"at": datetime(2026, 1, 31, 10, tzinfo=zone)}, {"at": None}]
    assert sample.read(file(tmp_path, "rows.csv", f"at,n\n{cell},1\n,2\n"), types) == [row | {"n": n} for n, row in enumerate(expected, 1)]
    if types:
        assert sample.read(file(tmp_path, "rows.json", f'[{{"at": "{cell}"}}, {{"at": null}}]'), types) == expected


@pytest.mark.parametrize(("text", "expected"), [("[[1]]", [[1]]), ("a,b\n1,2\n", [{"a": 1, "b": 2}])])
def test_the_first_character_of_standard_input_decides_its_format(text: str, expected: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert sample.read("-") == expected


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("rows.csv", "a,b\n1,2\n3\n", "line 3: it has 1 value, and the first line has 2 columns"),
        ("rows.csv", "", "contains no rows"),
        ("rows.csv", "a,b\n", "contains no rows"),
        ("rows.csv", 'a\n"open\n', "Line 2"),
        ("rows.csv", "0\n1.0\n2.0\n", "Line 1 holds numbers, where the names of the columns are expected. Set header to false"),
        ("rows.json", "[1,", "not valid JSON"),
        ("rows.json", "[[NaN]]", "write null for a missing value"),
        ("rows.json", "3", "must hold a list of rows"),
    ],
)
def test_what_cannot_be_read_is_reported_with_its_place(name: str, text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(CLIError, match=sentence) as caught:
        sample.read(file(tmp_path, name, text))
    assert caught.value.exit == Exit.USAGE


def test_a_missing_file_is_not_found() -> None:
    with pytest.raises(CLIError, match="No such file") as caught:
        sample.read("nowhere.csv")
    assert caught.value.exit == Exit.NOT_FOUND


def test_another_encoding_is_reported(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes("größe\n1\n".encode("latin-1"))
    with pytest.raises(CLIError, match="not UTF-8"):
        sample.read(str(tmp_path / "rows.csv"))
