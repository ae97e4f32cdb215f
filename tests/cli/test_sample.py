"""The types of a sample follow from its values, unless they are declared."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from celeriac_cli.errors import CLIError

from app.cli import sample
from app.core.tables import TableOptions


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("s.csv", "zip,since,n\n01234,2026-01-31,1\n,,2\n"),
        ("s.json", '[{"zip": "01234", "since": "2026-01-31", "n": 1}, {"zip": null, "since": null, "n": 2}]'),
    ],
)
def test_columns_of_a_sample_can_be_declared(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    types = sample.declarations(["zip=BYTES", "since=TIMESTAMP", "n=FP64"])
    rows = sample.read(str(tmp_path / name), types)
    assert rows == [{"zip": "01234", "since": datetime(2026, 1, 31), "n": 1.0}, {"zip": None, "since": None, "n": 2.0}]


def test_a_sample_is_read_with_the_options_of_a_batch(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_bytes("größe;n\n'a;b';1,5\n?;2,5\n".encode("cp1252"))
    options = TableOptions.from_dict({"delimiter": ";", "decimal": ",", "quote": "'", "encoding": "cp1252", "na_values": ["?"]})
    assert sample.read(str(tmp_path / "s.csv"), {}, options) == [{"größe": "a;b", "n": 1.5}, {"größe": None, "n": 2.5}]


def test_a_sample_without_a_header_has_rows_without_names(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("1,2\n3,4\n")
    assert sample.read(str(tmp_path / "s.csv"), {}, TableOptions(header=False)) == [[1, 2], [3, 4]]


@pytest.mark.parametrize("text", ["zip", "=BYTES", "zip=text"])
def test_an_invalid_declaration_is_refused(text: str) -> None:
    with pytest.raises(CLIError, match=r"Use COLUMN=DATATYPE, with one of .*BYTES"):
        sample.declarations([text])


@pytest.mark.parametrize(("name", "content"), [("s.csv", "zip\n01234\n"), ("s.json", '[{"zip": "01234"}]')])
def test_a_declaration_that_does_not_fit_is_refused(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(CLIError, match="has no column 'n'"):
        sample.read(str(tmp_path / name), {"n": "FP64"})
    with pytest.raises(CLIError, match="Column 'zip' expects true or false"):
        sample.read(str(tmp_path / name), {"zip": "BOOL"})
