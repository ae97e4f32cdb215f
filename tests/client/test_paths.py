"""Downloads never replace the file that was uploaded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from celeriac import AsyncClient, Client

from tests.cli.conftest import Stranger
from tests.cli.conftest import stranger as stranger

ROWS = "x\n1\n2\n"
RECORD = b'{"id": "batch_1", "status": "completed", "output_file_id": "file_2", "error_file_id": "file_3"}'


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text(ROWS)
    (tmp_path / "linked.csv").symlink_to("rows.csv")
    return tmp_path / "rows.csv"


@pytest.mark.parametrize("output", ["rows.csv", "./rows.csv", "linked.csv"])
def test_a_batch_whose_output_is_its_input_is_refused_before_the_upload(output: str, rows: Path, stranger: Stranger) -> None:
    with Client(stranger.url) as client, pytest.raises(ValueError, match="is the input file"):
        client.batch("line", rows, output, progress=False)
    assert rows.read_text() == ROWS


@pytest.mark.parametrize("download", ["download", "download_errors"])
def test_a_started_batch_remembers_its_input(
    download: str, rows: Path, stranger: Stranger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger.content = RECORD
    with Client(stranger.url) as client:
        # `input` is relative, and the working directory changes.
        batch = client.batches.start("line", "rows.csv")
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        with pytest.raises(ValueError, match="is the input file"):
            getattr(batch, download)("../linked.csv")
        assert getattr(batch, download)("rows.csv") == Path("rows.csv")
    assert rows.read_text() == ROWS


def test_the_asynchronous_client_refuses_it_too(rows: Path, stranger: Stranger) -> None:
    async def batch() -> None:
        async with AsyncClient(stranger.url) as client:
            await client.batch("line", rows, "linked.csv", progress=False)

    with pytest.raises(ValueError, match="is the input file"):
        asyncio.run(batch())
