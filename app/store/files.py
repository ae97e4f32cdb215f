"""Files that callers upload and that batches write: one folder each, on a volume that the API and all workers mount.

A folder holds `content`, its description (`file.json`), and `until`, an empty file whose modification time is the time at which the folder may
be deleted. A folder is written under another name and then renamed, so a file is complete or does not exist.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Final

import orjson

from app.core import callers, owners
from app.core.api_keys import DEFAULT_OWNER
from app.core.errors import FileNotFound, FilesUnavailable, PayloadTooLarge, StorageFull
from app.core.jobs import new_id
from app.settings import Settings, settings

BATCHES: Final = "batches"
"""The name of the folder that holds the folders of batches."""
_ID: Final = re.compile(r"file-[0-9a-z]{8,60}")
_MARK: Final = re.compile("x[0-9a-f]{16}$")
_HALF: Final = ".half-"
_SPARE_S: Final = 3600.0
"""How long the partly written files of dead processes are kept."""
_COUNT_EVERY_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class File:
    """The description of a file. Times are seconds since 1970."""

    id: str
    filename: str
    bytes: int
    purpose: str
    created_at: float
    expires_at: float
    owner: str = DEFAULT_OWNER


class Draft:
    """A file that is being written."""

    def __init__(self, folder: Path, id: str, owner: str, room: int, longest: int, check: Callable[[int], None]) -> None:
        """Start a file of at most `longest` bytes in a folder that has `room` bytes left. `check(size)` raises if the owner may not store it."""
        self.id, self._owner, self._check = id, owner, check
        self._folder, self._room, self._longest = folder, room, longest
        self._half = folder / f"{_HALF}{id}-{os.urandom(4).hex()}"
        self._half.mkdir(parents=True)
        self.file = (self._half / "content").open("w+b")

    def write(self, data: bytes) -> None:
        """Append data. Raises PayloadTooLarge, or StorageFull above the limit of all files together."""
        size = self.file.tell() + len(data)
        if size > self._longest:
            raise PayloadTooLarge(f"The file is larger than {self._longest} bytes, the limit of this server (CELERIAC_MAX_FILE_BYTES).")
        if size > self._room:
            raise StorageFull(
                "All files together exceed the limit of this server (CELERIAC_MAX_FILES_BYTES). Delete some, or try again later."
            )
        self._check(size)
        self.file.write(data)

    def finish(self, filename: str, purpose: str, ttl_s: float) -> File:
        """Move the file to its place and return it. A file of the same id is replaced."""
        self.file.flush()
        os.fsync(self.file.fileno())
        now = time.time()
        file = File(self.id, filename, self.file.seek(0, os.SEEK_END), purpose, now, now + ttl_s, self._owner)
        self.file.close()
        (self._half / "file.json").write_bytes(_packed(file))
        keep_until(self._half, file.expires_at)
        place = self._folder / self.id
        with contextlib.suppress(FileNotFoundError):
            place.rename(place.with_name(f"{_HALF}old-{os.urandom(4).hex()}"))
        self._half.rename(place)
        return file

    def close(self) -> None:
        """Delete the draft unless it was finished."""
        # A full disk refuses what is buffered once more.
        with contextlib.suppress(OSError):
            self.file.close()
        shutil.rmtree(self._half, ignore_errors=True)


class Files:
    """All files. Methods block: call them in a thread from an event loop."""

    def __init__(self, folder: Path | None, longest: int, most_bytes: int) -> None:
        """Store files of at most `longest` bytes, and `most_bytes` in all. Without a folder each method raises FilesUnavailable."""
        self._folder = folder
        self._longest, self._most = longest, most_bytes
        self._counted_at, self._used = float("-inf"), 0

    @property
    def folder(self) -> Path:
        """The folder of all files. Raises FilesUnavailable."""
        if self._folder is None:
            raise FilesUnavailable("This server keeps no files. Set CELERIAC_FILES to a folder that the API and all workers mount.")
        return self._folder

    @contextlib.contextmanager
    def draft(self, id: str = "", owner: str = DEFAULT_OWNER, check: Callable[[int], None] = lambda size: None) -> Iterator[Draft]:
        """Yield a new file of an owner, which exists only if the block finishes it. Raises StorageFull if the disk is full.

        Its id is `id`, or a new one, with the mark of the owner. `check(size)` raises if the owner may not store a file of this size.
        """
        with _storage_errors(self.folder):
            draft = Draft(self.folder, (id or new_file_id()) + mark(owner), owner, self._most - self._taken(), self._longest, check)
        try:
            with _storage_errors(self.folder):
                yield draft
        finally:
            draft.close()

    def usage(self, owner: str) -> tuple[int, int]:
        """Return how many files an owner has, and their bytes. The folder itself is counted, so the numbers cannot drift."""
        if self._folder is None:
            return 0, 0
        with contextlib.suppress(FileNotFoundError):
            names = [entry.name for entry in os.scandir(self.folder) if _ID.fullmatch(entry.name) and _mark_of(entry.name) == mark(owner)]
            return len(names), sum(_size(self.folder / name / "content") for name in names)
        return 0, 0

    def get(self, id: str) -> File:
        """Return the description of a file. Raises FileNotFound, also if it belongs to an owner whom the caller does not see."""
        with contextlib.suppress(FileNotFoundError):
            file = File(**orjson.loads((self._place(id) / "file.json").read_bytes()))
            if callers.sees(file.owner):
                return file
        raise FileNotFound(f"File {id!r} does not exist. It was deleted or has expired.")

    def content(self, id: str) -> Path:
        """Return the path of a file's content. Raises FileNotFound."""
        self.get(id)
        return self._place(id) / "content"

    def page(self, after: str | None, limit: int, purpose: str | None, *, newest_first: bool) -> tuple[list[File], bool]:
        """Return files that the caller sees in the order of their creation, and whether more follow."""
        owner = callers.only_owner()
        with contextlib.suppress(FileNotFoundError):
            names = (entry.name for entry in os.scandir(self.folder) if _ID.fullmatch(entry.name))
            # By their names: the descriptions of the files of other owners are not read.
            ids = sorted((name for name in names if owner is None or _mark_of(name) == mark(owner)), reverse=newest_first)
            if after is not None:
                ids = [id for id in ids if (id < after if newest_first else id > after)]
            files: list[File] = []
            for id in ids:
                with contextlib.suppress(FileNotFound):
                    file = self.get(id)
                    if purpose in (None, file.purpose):
                        if len(files) == limit:
                            return files, True
                        files.append(file)
            return files, False
        return [], False

    def delete(self, id: str) -> File:
        """Delete a file and return its description. Raises FileNotFound."""
        file = self.get(id)
        shutil.rmtree(self._place(id), ignore_errors=True)
        return file

    def sweep(self) -> int:
        """Delete expired files and folders of batches. Return the bytes that remain."""
        if self._folder is None:
            return 0
        now = time.time()
        for folder in (*_folders(self._folder), *_folders(self._folder / BATCHES)):
            if folder.name != BATCHES and _until(folder) < now:
                shutil.rmtree(folder, ignore_errors=True)
        self._counted_at = float("-inf")
        return self._taken()

    def _taken(self) -> int:
        if time.monotonic() - self._counted_at > _COUNT_EVERY_S:
            self._used = sum(_size(Path(at) / name) for at, _, names in os.walk(self.folder) for name in names)
            self._counted_at = time.monotonic()
        return self._used

    def _place(self, id: str) -> Path:
        if not _ID.fullmatch(id):
            raise FileNotFound(f"File {id!r} does not exist.")
        return self.folder / id


def files() -> Files:
    """Return the files of this process."""
    return _of(settings())


@cache
def _of(settings: Settings) -> Files:
    return Files(settings.files, settings.max_file_bytes, settings.max_files_bytes)


def new_file_id() -> str:
    """Return a new id. Ids sort by creation time."""
    return f"file-{new_id(time.time())}"


def mark(owner: str) -> str:
    """Return what the ids of an owner's files end with. Those of the default owner have no mark."""
    return "" if owner == DEFAULT_OWNER else f"x{owners.mark(owner).rstrip('~')}"


def _packed(file: File) -> bytes:
    """Encode a description. A release without owners can read it if the file belongs to the default owner."""
    return orjson.dumps({name: value for name, value in asdict(file).items() if (name, value) != ("owner", DEFAULT_OWNER)})


def _mark_of(id: str) -> str:
    match = _MARK.search(id)
    return match[0] if match else ""


def keep_until(folder: Path, until: float) -> None:
    """Set the time at which the folder of a file or batch may be deleted."""
    mark = folder / "until"
    mark.touch()
    os.utime(mark, (until, until))


def full(error: OSError, volume: str = "files") -> StorageFull | None:
    """Return StorageFull for the error of a failed write if the volume has no room, else None."""
    no_room = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return StorageFull(f"The volume of the {volume} is full ({error.strerror}). Free some space, then try again.") if no_room else None


@contextlib.contextmanager
def _storage_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except (ConnectionError, TimeoutError):  # of what is copied, not of the disk
        raise
    except OSError as error:
        raise full(error) or FilesUnavailable(f"The folder of files {folder} cannot be written: {error.strerror}.") from error


def _folders(folder: Path) -> list[Path]:
    with contextlib.suppress(FileNotFoundError):
        return [Path(entry) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    return []


def _until(folder: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return (folder / "until").stat().st_mtime
    try:
        return folder.stat().st_mtime + _SPARE_S
    except FileNotFoundError:
        return float("inf")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # another process removes it at this moment
        return 0
