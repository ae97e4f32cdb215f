"""Files of captured rows, on a volume and in a bucket."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from app.buckets.objects import Objects
from app.core.bucket_url import BucketURL
from app.core.errors import FileNotFound, FilesUnavailable
from app.store.capture_folders import BucketCaptureFolder, CaptureFolder, LocalCaptureFolder
from app.store.captures import CaptureFile, Captures
from app.store.local_files import LocalFiles

HOUR = datetime(2026, 2, 28, 9, tzinfo=UTC)
LATER = int(time.time()) + 3600


@pytest.fixture(params=["volume", "bucket"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> CaptureFolder:
    if request.param == "volume":
        return LocalCaptureFolder(tmp_path / "capture")
    return BucketCaptureFolder(Objects(BucketURL("s3://files/a"), MemoryStore(), FilesUnavailable))


@pytest.fixture
def captures(folder: CaptureFolder) -> Captures:
    return Captures(folder, 1000)


def write(
    captures: Captures, version: str = "1", hour: int = 0, rows: int = 10, until: int = LATER, content: bytes = b"rows"
) -> CaptureFile:
    before = captures.files("wine")
    captures.write("wine", version, HOUR + timedelta(hours=hour), rows, until, content)
    [file] = [file for file in captures.files("wine") if file not in before]
    return file


def test_files_have_hive_partitions_and_are_read(captures: Captures) -> None:
    file = write(captures, "1.0-rc.2")
    assert file.path == f"wine/date=2026-02-28/hour=09/{file.id}.parquet"
    assert (file.version, file.rows, file.bytes, file.expires_at, file.hour) == ("1.0-rc.2", 10, 4, LATER, HOUR)
    with captures.content("wine", file.id).open("rb") as opened:
        assert opened.read() == captures.read(file) == b"rows"


def test_files_are_chosen_by_model_version_and_time(captures: Captures) -> None:
    for version, hour in (("1", 0), ("2", 1), ("2", 30)):
        write(captures, version, hour)
    captures.write("digits", "2", HOUR, 1, LATER, b"")
    assert [file.version for file in captures.files("wine")] == ["1", "2", "2"]
    assert len(captures.files("wine", "2")) == 2
    middle = HOUR + timedelta(hours=1, minutes=30)
    assert [file.hour for file in captures.files("wine", since=middle)] == [HOUR + timedelta(hours=hour) for hour in (1, 30)]
    assert [file.hour for file in captures.files("wine", until=middle)] == [HOUR + timedelta(hours=hour) for hour in (0, 1)]


def test_expired_files_are_deleted_and_then_the_oldest_above_the_limit(captures: Captures) -> None:
    write(captures, hour=9, until=int(time.time()) - 1)
    kept = [write(captures, hour=hour, content=bytes(400)) for hour in (3, 2, 1)]
    assert captures.sweep() == 800
    assert [file.id for file in captures.files("wine")] == [kept[1].id, kept[0].id]


def test_a_file_is_replaced_and_removed(captures: Captures) -> None:
    file = write(captures)
    captures.replace(file, 4, b"less")
    [fewer] = captures.files("wine")
    assert (fewer.rows, captures.read(fewer)) == (4, b"less")
    captures.remove(fewer)
    assert captures.files("wine") == []
    with pytest.raises(FileNotFound):
        captures.content("wine", fewer.id)


@pytest.mark.parametrize("id", ["../../secret", "2026993199-1-1-1-" + "0" * 32, "x"], ids=["a path", "no date", "no ID"])
def test_what_is_not_an_id_leads_to_no_file(captures: Captures, id: str) -> None:
    with pytest.raises(FileNotFound):
        captures.content("wine", id)


def test_without_files_nothing_is_written_and_nothing_swept() -> None:
    captures = Captures(None, 1000)
    assert captures.sweep() == 0
    with pytest.raises(FilesUnavailable):
        captures.write("wine", "1", HOUR, 1, LATER, b"")


def test_a_half_written_file_is_not_listed_and_expires(tmp_path: Path) -> None:
    captures = Captures(LocalCaptureFolder(tmp_path), 1000)
    file = write(captures, until=int(time.time()) - 1)
    place = tmp_path / file.path
    place.rename(place.with_name(f".{place.name}"))
    assert captures.files("wine") == []
    captures.sweep()
    assert list(tmp_path.rglob("*.parquet")) == []


def test_the_sweep_of_files_leaves_captured_rows_alone_and_does_not_count_them(tmp_path: Path) -> None:
    file = write(Captures(LocalCaptureFolder(tmp_path / "capture"), 1000))
    assert LocalFiles(tmp_path, 100, 100).sweep() == 0
    assert (tmp_path / "capture" / file.path).exists()
