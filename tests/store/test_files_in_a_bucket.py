"""Files and folders of batches in a bucket."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from obstore.store import MemoryStore

from app.buckets.objects import Objects
from app.cli.ports import free_port
from app.core.bucket_url import BucketURL
from app.core.errors import FileNotFound, FilesUnavailable, PayloadTooLarge, StorageFull
from app.data.formats import Format
from app.data.writing import join, writing
from app.store.batch_folders import LocalBatchFolder
from app.store.bucket_files import BucketFiles
from app.store.files import File, Files

URL = BucketURL("s3://files/team-a")


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def files(memory: MemoryStore) -> Files:
    return bucket(memory)


def bucket(memory: MemoryStore, longest: int = 50 << 20, most_bytes: int = 1 << 30) -> Files:
    return BucketFiles(Objects(URL, memory, FilesUnavailable), longest, most_bytes)


def kept(files: Files, content: bytes = b"rows", ttl_s: float = 60, id: str = "", owner: str = "default") -> File:
    with files.draft(id, owner) as draft:
        draft.write(content)
        return draft.finish("rows.csv", "batch", ttl_s)


def paths(memory: MemoryStore) -> list[str]:
    return sorted(entry["path"] for page in memory.list() for entry in page)


def test_a_file_of_several_parts_is_found_again_and_read_at_any_place(files: Files) -> None:
    content = np.random.default_rng(0).bytes(30 << 20)
    file = kept(files, content)
    assert files.get(file.id) == file
    with files.content(file.id).open("rb") as stored:
        assert stored.read() == content
        stored.seek(-5, os.SEEK_END)
        assert stored.read() == content[-5:]
        stored.seek(7)
        assert stored.read(3) == content[7:10]


def test_a_file_that_is_not_finished_is_not_there(files: Files, memory: MemoryStore) -> None:
    with files.draft() as draft:
        draft.write(bytes(30 << 20))
    assert files.page(None, 10, None, newest_first=True) == ([], False)
    assert paths(memory) == []


def test_files_are_listed_counted_and_deleted(files: Files, memory: MemoryStore) -> None:
    first, second = (kept(files, id=f"file-0000000{at}") for at in (1, 2))
    other = kept(files, owner="team-b")
    page, more = files.page(None, 1, "batch", newest_first=False)
    assert (page, more) == ([first], True)
    assert files.page(first.id, 1, "batch", newest_first=False)[0] == [second]
    assert (files.usage("default"), files.usage("team-b")) == ((2, 8), (1, 4))
    for file in (first, second, other):
        files.delete(file.id)
        with pytest.raises(FileNotFound):
            files.content(file.id)
    assert not [path for path in paths(memory) if path.startswith("files/")]


def test_bounds(memory: MemoryStore) -> None:
    with pytest.raises(PayloadTooLarge, match="100 bytes"):
        kept(bucket(memory, longest=100), bytes(101))
    kept(bucket(memory), bytes(40))
    with pytest.raises(StorageFull):
        kept(bucket(memory, most_bytes=50), bytes(20))


def test_what_is_past_its_time_is_swept(files: Files, memory: MemoryStore) -> None:
    stays, _ = kept(files), kept(files, ttl_s=-2)
    for name, until in (("goes", [0.0]), ("extended", [0.0, stays.expires_at])):
        for time in until:
            files.batch(name).keep_until(time)
        files.batch(name).write("part", b"12345")
    with_description = len(b"rows") + len(memory.get(f"files/{stays.id}/file.json").bytes())
    assert files.sweep() == with_description + len(b"12345")
    left = [path for path in paths(memory) if not path.startswith("until/")]
    assert left == ["batches/extended/part", f"files/{stays.id}/content", f"files/{stays.id}/file.json"]


@pytest.mark.parametrize("format", Format)
def test_parts_are_joined_to_the_same_bytes_as_on_a_volume(files: Files, memory: MemoryStore, tmp_path: Path, format: Format) -> None:
    bucket, volume = files.batch("b1"), LocalBatchFolder(tmp_path)
    joined: dict[object, bytes] = {}
    for folder in (bucket, volume):
        for at in range(3):
            draft = folder.draft(f"parts/{at}")
            with writing(draft, format, {"a": pa.float64()}) as writer:
                writer.write(pa.table({"a": np.random.default_rng(at).random(1000)}))
            folder.take(draft, f"parts/{at}")
            folder.discard(draft)
        with files.draft() as output:
            join([folder.content(f"parts/{at}") for at in range(3)], output.file, format)
            id = output.finish("joined", "batch_output", 60).id
        with files.content(id).open("rb") as stored:
            joined[folder] = stored.read()
    with (tmp_path / "joined").open("w+b") as file:
        join([volume.content(f"parts/{at}") for at in range(3)], file, format)
    assert {*joined.values()} == {(tmp_path / "joined").read_bytes()}
    bucket.remove()
    assert not [path for path in paths(memory) if path.startswith("batches/")]


def test_a_bucket_that_does_not_answer_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    files = BucketFiles(Objects(URL, unavailable=FilesUnavailable), 100, 1000)
    with pytest.raises(FilesUnavailable, match="s3://files/team-a does not answer as expected"):
        kept(files)
