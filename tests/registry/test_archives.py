"""Archives that callers upload, most of them hostile."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.errors import CeleriacError, InvalidInput, PayloadTooLarge
from app.registry import archives
from app.registry.archives import unpack

MOST = 1 << 20
Change = Callable[[tarfile.TarInfo], None]


def entry(name: str, content: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def tar(*entries: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=format) as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def unpacked(tmp_path: Path, content: bytes, most: int = MOST) -> dict[str, bytes]:
    archive, folder = tmp_path / "archive", tmp_path / "folder"
    archive.write_bytes(content)
    folder.mkdir()
    unpack(archive, folder, most)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


GOOD = tar(entry(".", b"", type=tarfile.DIRTYPE), entry("./model.py", b"code"), entry("./a/b/weights.bin", bytes(200_000)))


@pytest.mark.parametrize("content", [GOOD, gzip.compress(GOOD, mtime=0)], ids=["tar", "tar.gz"])
def test_files_and_folders_are_unpacked(tmp_path: Path, content: bytes) -> None:
    assert unpacked(tmp_path, content) == {"model.py": b"code", "a/b/weights.bin": bytes(200_000)}


def test_workers_of_another_user_may_read_what_was_unpacked(tmp_path: Path) -> None:
    unpacked(tmp_path, tar(entry("secret", mode=0o000)))
    assert (tmp_path / "folder" / "secret").stat().st_mode & 0o444 == 0o444


@pytest.mark.parametrize(
    ("content", "reported"),
    [
        (tar(entry("../evil")), "leads out of the archive"),
        (tar(entry("a/../../evil")), "leads out of the archive"),
        (tar(entry("/etc/evil")), "leads out of the archive"),
        (tar(entry("link", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")), "Links and devices are refused"),
        (tar(entry("link", b"", type=tarfile.SYMTYPE, linkname="model.py")), "Links and devices are refused"),
        (tar(entry("a"), entry("link", b"", type=tarfile.LNKTYPE, linkname="a")), "Links and devices are refused"),
        (tar(entry("pipe", b"", type=tarfile.FIFOTYPE)), "Links and devices are refused"),
        (tar(entry("disk", b"", type=tarfile.BLKTYPE, devmajor=8)), "Links and devices are refused"),
        (tar(entry("null", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3)), "Links and devices are refused"),
        (tar(entry("a"), entry("a")), "holds 'a' twice"),
        (tar(entry("a"), entry("a/b")), "a file and a folder of the same name"),
        (tar(entry("a/b"), entry("a")), "holds 'a' twice"),
        (tar(entry("n" * 300)), "too long"),
        (tar(entry("/".join(["n" * 200] * 6))), "too long"),
        (tar(entry("caf\udce9")), "not UTF-8"),
        (tar(entry("a", pax_headers={"comment": "x" * 200_000})), "A header of the archive is longer"),
        (b"", "not a tar archive"),
        (b"{}" * 1000, "not a tar archive"),
        (gzip.compress(b"{}" * 1000, mtime=0), "not a tar archive"),
        (GOOD[:1000], "cut off"),
        (GOOD[:100_000], "cut off"),
        (gzip.compress(GOOD, mtime=0)[:-20], "cut off"),
        (gzip.compress(GOOD, mtime=0)[:300], "cut off"),
        (tar(entry("a"))[:1024] + b"garbage" * 100, "cut off or damaged"),
        (tar(entry("a"))[:1024], "cut off or damaged"),
    ],
)
def test_an_archive_that_is_hostile_or_damaged_is_refused(tmp_path: Path, content: bytes, reported: str) -> None:
    with pytest.raises(InvalidInput, match=reported):
        unpacked(tmp_path, content)
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("archive", "folder")] == []


def test_a_bomb_is_refused_before_it_expands(tmp_path: Path) -> None:
    zeros = gzip.compress(tar(entry("zeros", bytes(70 << 20))))
    with pytest.raises(PayloadTooLarge, match="expands to more than 200 times its size"):
        unpacked(tmp_path, zeros, 1 << 40)
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.parametrize("size", [MOST + 1, 1 << 50])
def test_more_bytes_than_allowed_are_refused(tmp_path: Path, size: int) -> None:
    # The header says it. Nothing follows.
    content = entry("a")[0]
    content.size = size
    with pytest.raises(PayloadTooLarge, match="CELERIAC_MAX_VERSION_BYTES"):
        unpacked(tmp_path, content.tobuf(tarfile.GNU_FORMAT))


def test_many_files_count_together(tmp_path: Path) -> None:
    with pytest.raises(PayloadTooLarge, match="more than 1048576 bytes"):
        unpacked(tmp_path, tar(*(entry(str(number), bytes(MOST // 4)) for number in range(5))))


def test_more_entries_than_allowed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_ENTRIES", 3)
    with pytest.raises(PayloadTooLarge, match="more than 3 entries"):
        unpacked(tmp_path, tar(*(entry(str(number)) for number in range(4))))


def test_headers_without_end_are_refused(tmp_path: Path) -> None:
    headers = b"".join(entry("a", b"", type=tarfile.XGLTYPE)[0].tobuf() for _ in range(3000))
    with pytest.raises(CeleriacError):
        unpacked(tmp_path, gzip.compress(headers, mtime=0))
