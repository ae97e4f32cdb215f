"""Files where the disk is really full."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.errors import StorageFull
from app.settings import settings
from app.store import sources
from app.store.blob_folders import LocalFolder
from app.store.blobs import Blobs
from app.store.files import File, Files
from app.store.local_files import LocalFiles
from app.store.sources import Source
from tests.disks import Disk

FULL = r"The volume of the files is full \(No space left on device\)\. Free some space, then try again\."


def read(files: Files, id: str) -> bytes:
    with files.content(id).open("rb") as file:
        return file.read()


def kept(files: Files, content: bytes, id: str = "") -> File:
    with files.draft(id) as draft:
        draft.write(content)
        return draft.finish("rows.csv", "batch", 60)


@pytest.fixture
def roots(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CELERIAC_FILE_ROOTS", str(disk.folder))
    settings.cache_clear()
    yield disk.folder
    settings.cache_clear()


@pytest.mark.parametrize("size", [100, 1 << 16], ids=["buffered", "large"])
def test_a_file_without_room_is_not_there(disk: Disk, size: int) -> None:
    files = LocalFiles(disk.folder, longest=1 << 30, most_bytes=1 << 30)
    disk.fill()
    with pytest.raises(StorageFull, match=FULL):
        kept(files, bytes(size))
    assert list(disk.folder.iterdir()) == []
    disk.free()
    assert read(files, kept(files, bytes(size)).id) == bytes(size)


def test_the_file_that_it_was_to_replace_stays(disk: Disk) -> None:
    files = LocalFiles(disk.folder, longest=1 << 30, most_bytes=1 << 30)
    kept(files, b"before", "file-01234567")
    disk.fill()
    with pytest.raises(StorageFull):
        kept(files, b"after", "file-01234567")
    assert read(files, "file-01234567") == b"before"


@pytest.mark.parametrize("size", [100, 1 << 16], ids=["buffered", "large"])
def test_what_is_written_to_a_path_is_whole_or_not_there(disk: Disk, roots: Path, size: int) -> None:
    disk.fill()
    with pytest.raises(StorageFull, match=FULL), sources.writing(Source(path="answers.csv")) as file:
        file.write(bytes(size))
    assert list(roots.iterdir()) == []


def test_a_blob_without_room_goes_another_way(disk: Disk) -> None:
    blobs = Blobs(LocalFolder(disk.folder), 10, 1 << 30)
    disk.fill()
    body = bytes(1 << 16)
    assert blobs.fetch(blobs.keep(body, 60)) == body
    assert [path for path in disk.folder.iterdir() if path.stat().st_size] == []
