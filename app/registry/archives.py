"""Tar archives of folders that callers upload. What leaves the folder, is not a plain file or exceeds a bound is refused."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, cast

from app.core.errors import InvalidInput, PayloadTooLarge, shown

MAX_ENTRIES: Final = 10_000
MAX_RATIO: Final = 200
"""Unpacked bytes for each byte of an archive. Weights and trees compress to a fifth, and repetitions to a thousandth."""
_FREE_BYTES: Final = 64 << 20
"""Unpacked bytes to which the ratio does not apply: a small file of zeros is harmless."""
_GZIP: Final = b"\x1f\x8b"
_BLOCK: Final = 64 << 10
_MAX_PATH_BYTES: Final = 1024
_MAX_NAME_BYTES: Final = 255


def unpack(archive: Path, folder: Path, max_bytes: int) -> None:
    """Unpack a tar archive, which may be compressed with gzip, into an empty folder.

    Args:
        archive: The archive.
        folder: The folder. An error may leave a part of the files in it.
        max_bytes: Most bytes of all files together.

    Raises:
        InvalidInput: The archive is cut off or damaged, or has an entry that is not a file or folder inside of it.
        PayloadTooLarge: It holds more bytes or entries than allowed, or expands like a decompression bomb.
        OSError: The disk is full.
    """
    most = min(max_bytes, max(_FREE_BYTES, MAX_RATIO * archive.stat().st_size))
    with archive.open("rb") as file, _readable():
        packed = file.read(2) == _GZIP
        file.seek(0)
        # Headers take some bytes beside the files.
        source = _Source(gzip.GzipFile(fileobj=file) if packed else file, most + MAX_ENTRIES * 4 * tarfile.BLOCKSIZE)
        with tarfile.open(fileobj=cast("IO[bytes]", source), mode="r:") as tar:
            left, count = most, 0
            for member in tar:
                count += 1
                if count > MAX_ENTRIES:
                    raise PayloadTooLarge(f"The archive has more than {MAX_ENTRIES} entries.")
                path = _place(member, folder)
                if member.isdir():
                    path.mkdir(parents=True, exist_ok=True)
                    continue
                left -= member.size
                if left < 0:
                    raise _too_large(max_bytes, most)
                path.parent.mkdir(parents=True, exist_ok=True)
                content = tar.extractfile(member)
                assert content is not None  # it is a file
                _copy(content, path)
            _check_end(tar, source)


class _Source:
    """The file that tarfile reads. The library reads a header at once, however long the header says that it is."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile, longest: int) -> None:
        self._file = file
        self._longest = longest

    def read(self, size: int) -> bytes:
        if size > _BLOCK:
            raise InvalidInput(f"A header of the archive is longer than {_BLOCK} bytes.", pointer="")
        return self._file.read(size)

    def seek(self, position: int) -> int:
        if position > self._longest:
            raise PayloadTooLarge("The archive says that it is longer than allowed.")
        return self._file.seek(position)

    def tell(self) -> int:
        return self._file.tell()


def _place(member: tarfile.TarInfo, folder: Path) -> Path:
    """Return where an entry belongs. Raises InvalidInput if that is outside of the folder, or if the entry is not a file or folder."""
    name = member.name
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE):
        raise InvalidInput(
            f"Entry {shown(name)} is not a file or folder. Links and devices are refused: replace a link with its file.", pointer=""
        )
    parts = name.split("/")
    if name.startswith("/") or ".." in parts:
        raise InvalidInput(f"Entry {shown(name)} leads out of the archive. Use relative paths, as `tar c .` does.", pointer="")
    try:
        sizes = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:
        raise InvalidInput(f"The name of the entry {shown(name)} is not UTF-8.", pointer="") from None
    if max(sizes) > _MAX_NAME_BYTES or sum(sizes) + len(parts) > _MAX_PATH_BYTES or "\0" in name:
        raise InvalidInput(f"The name of the entry {shown(name)} is too long, or has a zero byte.", pointer="")
    return folder / tarfile.data_filter(member, str(folder)).name


def _copy(content: IO[bytes], path: Path) -> None:
    try:
        # Not the mode of the entry: workers of another user must be able to read the file.
        with path.open("xb") as file:
            while block := content.read(_BLOCK):
                file.write(block)
    except FileExistsError:
        raise InvalidInput(f"The archive holds {shown(path.name)} twice.", pointer="") from None


def _check_end(tar: tarfile.TarFile, source: _Source) -> None:
    """Raise InvalidInput unless the archive ends with a block of zeros. tarfile takes a damaged header for the end."""
    source.seek(tar.offset)
    if source.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise InvalidInput("The archive is cut off or damaged. Send it again.", pointer="")


@contextmanager
def _readable() -> Iterator[None]:
    """Report what libraries raise for a damaged archive, and a file below a file, as InvalidInput."""
    try:
        yield
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise InvalidInput("The archive holds a file and a folder of the same name.", pointer="") from None
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, RecursionError, ValueError, io.UnsupportedOperation) as error:
        raise InvalidInput(f"The body is not a tar archive, or is cut off: {error}. Make it with `tar c .`.", pointer="") from None


def _too_large(max_bytes: int, most: int) -> PayloadTooLarge:
    if most < max_bytes:
        return PayloadTooLarge(f"The archive expands to more than {MAX_RATIO} times its size. Send it without compression.")
    return PayloadTooLarge(f"The archive holds more than {max_bytes} bytes, the limit of this server (CELERIAC_MAX_VERSION_BYTES).")
