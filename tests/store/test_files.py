from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from app.core.errors import CeleriacError, FileNotFound, FilesUnavailable, PayloadTooLarge, StorageFull
from app.settings import Settings
from app.store import sources
from app.store.batch_folders import BATCHES, keep_until
from app.store.files import File, Files
from app.store.local_files import LocalFiles


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return LocalFiles(tmp_path, longest=100, most_bytes=1000)


def kept(files: Files, content: bytes = b"rows", ttl_s: float = 60, purpose: str = "batch") -> File:
    with files.draft() as draft:
        draft.write(content)
        return draft.finish("rows.csv", purpose, ttl_s)


def test_a_file_is_found_again(files: Files) -> None:
    found = kept(files)
    assert (found.filename, found.bytes, found.purpose) == ("rows.csv", 4, "batch")
    assert files.get(found.id) == found
    with files.content(found.id).open("rb") as file:
        assert file.read() == b"rows"


def test_a_file_that_is_not_finished_is_not_there(files: Files, tmp_path: Path) -> None:
    with files.draft() as draft:
        draft.write(b"half")
    assert files.page(None, 10, None, newest_first=True) == ([], False)
    assert list(tmp_path.iterdir()) == []


def test_files_are_listed_page_by_page(files: Files) -> None:
    ids = []
    for purpose in ("batch", "other", "batch", "batch"):
        ids.append(kept(files, purpose=purpose).id)
        while f"file-{int(time.time() * 1000):012x}" <= ids[-1][:17]:
            pass  # until the clock shows another millisecond, which ids are sorted by
    found, more = files.page(None, 2, "batch", newest_first=True)
    assert ([one.id for one in found], more) == ([ids[3], ids[2]], True)
    found, more = files.page(ids[2], 2, "batch", newest_first=True)
    assert ([one.id for one in found], more) == ([ids[0]], False)
    assert [one.id for one in files.page(ids[0], 9, None, newest_first=False)[0]] == ids[1:]


def test_what_is_deleted_or_never_was_is_not_found(files: Files) -> None:
    found = kept(files)
    files.delete(found.id)
    for id in (found.id, "file-0123456789", "file-../../etc", BATCHES, ""):
        with pytest.raises(FileNotFound):
            files.get(id)


def test_bounds(files: Files, tmp_path: Path) -> None:
    with pytest.raises(PayloadTooLarge, match="100 bytes"):
        kept(files, bytes(101))
    full = LocalFiles(tmp_path, longest=10_000, most_bytes=50)
    kept(full, bytes(40))
    with pytest.raises(StorageFull), LocalFiles(tmp_path, longest=10_000, most_bytes=50).draft() as draft:
        draft.write(bytes(20))


def test_what_is_past_its_time_is_swept(files: Files, tmp_path: Path) -> None:
    stays, goes = kept(files), kept(files, ttl_s=-1)
    for name, until in (("stays", time.time() + 60), ("goes", time.time() - 60)):
        (tmp_path / BATCHES / name).mkdir(parents=True)
        (tmp_path / BATCHES / name / "part").write_bytes(b"12345")
        keep_until(tmp_path / BATCHES / name, until)
    orphan = tmp_path / ".half-1"
    orphan.mkdir()
    os.utime(orphan, (0, 0))
    assert files.sweep() == len(b"rows") + (tmp_path / stays.id / "file.json").stat().st_size + len(b"12345")
    assert sorted(one.name for one in tmp_path.rglob("*") if one.is_dir()) == sorted([stays.id, BATCHES, "stays"])
    assert not (tmp_path / goes.id).exists()


def test_without_a_folder_it_is_said() -> None:
    with pytest.raises(FilesUnavailable, match="CELERIAC_FILES"):
        LocalFiles(None, 1, 1).get("file-0123456789")


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret.csv").write_text("a\n1\n")
    (root / "rows.csv").write_text("a\n1\n")
    (root / "link").symlink_to(outside)
    known = Settings(files=tmp_path / "files", file_roots=str(root), file_schemes="memory")
    monkeypatch.setattr(sources, "settings", lambda: known)
    return root


@pytest.mark.parametrize(
    "path", ["../outside/secret.csv", "link/secret.csv", "/etc/passwd", ".", "link", "a/../../outside/secret.csv", "a\0b"]
)
def test_a_path_that_leaves_the_roots_is_refused(roots: Path, path: str) -> None:
    with pytest.raises(CeleriacError) as caught:
        sources.parse(path, "/input")
    assert caught.value.pointer == "/input"
    assert "secret" not in caught.value.detail or "not below" in caught.value.detail


def test_a_link_made_later_is_refused_when_it_is_read(roots: Path) -> None:
    source = sources.parse("later/secret.csv", "/input")
    (roots / "later").symlink_to(roots.parent / "outside")
    with pytest.raises(CeleriacError, match="not below"), sources.reading(source):
        pass


def test_a_path_below_a_root_is_read_and_written(roots: Path) -> None:
    for path in ("rows.csv", str(roots / "rows.csv")):
        with sources.reading(sources.parse(path, "/input")) as file:
            assert file.read() == b"a\n1\n"
    with sources.writing(sources.parse("out.csv", "/output")) as file:
        file.write(b"whole")
    assert (roots / "out.csv").read_bytes() == b"whole"
    with pytest.raises(ZeroDivisionError), sources.writing(sources.parse("half.csv", "/output")):
        raise ZeroDivisionError
    assert sorted(one.name for one in roots.iterdir()) == ["link", "out.csv", "rows.csv"]


def test_urls_of_allowed_schemes_only(roots: Path) -> None:
    with pytest.raises(CeleriacError, match="s3:// is not allowed"):
        sources.parse("s3://bucket/rows.csv", "/input")
    with sources.writing(sources.parse("memory://folder/rows.csv", "/output")) as file:
        file.write(b"a\n2\n")
    with sources.reading(sources.parse("memory://folder/rows.csv", "/input")) as file:
        assert file.read() == b"a\n2\n"
    with pytest.raises(FileNotFound), sources.reading(sources.parse("memory://folder/none.csv", "/input")):
        pass
