"""`celeriac batch run` keeps its input."""

from __future__ import annotations

from pathlib import Path

import pytest
from celeriac_cli.errors import Exit

from app.cli.ports import free_port
from tests.cli.conftest import Celeriac

ROWS = "x\n1\n2\n"


@pytest.mark.parametrize(
    ("given", "output"),
    [
        ("rows.csv", "rows.csv"),
        ("rows.csv", "./rows.csv"),
        ("rows.csv", "../{folder}/rows.csv"),
        ("rows.csv", "{path}/rows.csv"),
        ("rows.csv", "symlink.csv"),
        ("symlink.csv", "rows.csv"),
        ("rows.csv", "hardlink.csv"),
        ("out.csv.errors.jsonl", "out.csv"),
    ],
)
def test_an_output_that_is_the_input_is_refused_before_the_upload(
    given: str, output: str, celeriac: Celeriac, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("rows.csv", "out.csv.errors.jsonl"):
        (tmp_path / name).write_text(ROWS)
    (tmp_path / "symlink.csv").symlink_to("rows.csv")
    (tmp_path / "hardlink.csv").hardlink_to("rows.csv")
    # Nobody answers at this address, so an upload would be reported.
    url = f"http://127.0.0.1:{free_port()}"
    ended = celeriac("batch", "run", "line", given, output.format(folder=tmp_path.name, path=tmp_path), "--url", url)
    assert ended.exit == Exit.USAGE
    assert "is the input file, which would be replaced. Name another OUTPUT." in ended.err
    assert (tmp_path / given).read_text() == ROWS


def test_an_output_of_the_same_name_in_another_folder_is_not_the_input(
    celeriac: Celeriac, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "answers").mkdir()
    for name in ("rows.csv", "answers/rows.csv"):
        (tmp_path / name).write_text(ROWS)
    ended = celeriac("batch", "run", "line", "rows.csv", "answers/rows.csv", "--url", f"http://127.0.0.1:{free_port()}")
    assert ended.exit == Exit.UNREACHABLE
