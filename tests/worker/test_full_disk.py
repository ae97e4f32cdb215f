"""A part of a batch where the disk is really full."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from app.core.batches import Part
from app.core.errors import StorageFull
from app.data.formats import Format
from app.data.writing import writing
from app.settings import settings
from app.store.batch_folders import BATCHES
from app.worker.batches.workspace import Workspace, drafting
from tests.disks import Disk

ROWS = pa.table({"a": np.random.default_rng(0).random(20_000)})


@pytest.fixture
def folder(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("CELERIAC_FILES", str(disk.folder))
    settings.cache_clear()
    found = Workspace("b1")
    found.folder.keep_until(time.time() + 60)
    yield found
    settings.cache_clear()


def parts(disk: Disk) -> list[str]:
    return [path.name for path in (disk.folder / BATCHES / "b1" / "parts").iterdir()]


def write(folder: Workspace, format: Format, rows: pa.Table, errors: int = 0) -> None:
    with drafting(folder, 0) as draft:
        with writing(draft.file, format, {"a": pa.float64()}) as writer:
            writer.write(rows)
        draft.write_errors([{"row": at, "code": "invalid_input"} for at in range(errors)])
        draft.finish(Part(0, len(rows), len(rows), 0))


@pytest.mark.parametrize("format", Format)
@pytest.mark.parametrize("rows", [10, 20_000])
def test_a_part_without_room_is_not_there(folder: Workspace, disk: Disk, format: Format, rows: int) -> None:
    disk.fill(4096 if rows > 10 else 0)
    with pytest.raises(StorageFull, match="The volume of the files is full"):
        write(folder, format, ROWS[:rows])
    assert parts(disk) == []
    disk.free()
    write(folder, format, ROWS[:rows])
    assert parts(disk) == [f"000000000000-{rows}"]


def test_nor_is_one_without_room_for_its_errors(folder: Workspace, disk: Disk) -> None:
    disk.fill(4096)
    with pytest.raises(StorageFull):
        write(folder, Format.CSV, ROWS[:10], errors=1000)
    assert parts(disk) == []
