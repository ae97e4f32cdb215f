"""Files that callers upload and that batches write: one folder each, on a volume that the API and all workers mount, or in a bucket.

On a volume, a folder holds `content`, its description (`file.json`), and `until`, an empty file whose modification time is the time at which the folder may
be deleted. A folder is written under another name and then renamed, so a file is complete or does not exist.
"""

from __future__ import annotations

import contextlib
import errno
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from typing import IO, Final

import orjson

from app.core import callers, owners
from app.core.api_keys import DEFAULT_OWNER
from app.core.bucket_url import BucketURL
from app.core.errors import FileNotFound, FilesUnavailable, PayloadTooLarge, StorageFull
from app.core.jobs import new_id
from app.settings import Settings, settings
from app.store.batch_folders import BatchFolder, Content
from app.store.capture_folders import open_capture_folder
from app.store.captures import Captures

CONTENT: Final = "content"
DESCRIPTION: Final = "file.json"
ID: Final = re.compile(r"file-[0-9a-z]{8,60}")
_MARK: Final = re.compile("x[0-9a-f]{16}$")


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


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may be stored: `room` bytes in all, `longest` of one file. `check(size)` raises if the owner may not store a file of this size."""

    room: int
    longest: int
    check: Callable[[int], None]


class Draft(ABC):
    """A file that is being written."""

    file: IO[bytes]

    def __init__(self, id: str, owner: str, bounds: Bounds) -> None:
        """Start a file."""
        self.id, self.owner, self._bounds = id, owner, bounds

    def write(self, data: bytes) -> None:
        """Append data. Raises PayloadTooLarge, or StorageFull above the limit of all files together."""
        size = self.file.tell() + len(data)
        if size > self._bounds.longest:
            raise PayloadTooLarge(
                f"The file is larger than {self._bounds.longest} bytes, the limit of this server (CELERIAC_MAX_FILE_BYTES)."
            )
        if size > self._bounds.room:
            raise StorageFull(
                "All files together exceed the limit of this server (CELERIAC_MAX_FILES_BYTES). Delete some, or try again later."
            )
        self._bounds.check(size)
        self.file.write(data)

    def finish(self, filename: str, purpose: str, ttl_s: float) -> File:
        """Move the file to its place and return it. A file of the same id is replaced."""
        now = time.time()
        file = File(self.id, filename, self.file.tell(), purpose, now, now + ttl_s, self.owner)
        self._store(file)
        return file

    @abstractmethod
    def _store(self, file: File) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Delete the draft unless it was finished."""


class Files(ABC):
    """All files. Methods block: call them in a thread from an event loop. They raise FilesUnavailable."""

    count_every_s: float
    """How long the total size may be remembered."""

    def __init__(self, longest: int, most_bytes: int) -> None:
        """Store files of at most `longest` bytes, and `most_bytes` in all."""
        self._longest, self._most = longest, most_bytes
        self._counted_at, self._used = float("-inf"), 0

    @contextlib.contextmanager
    def draft(self, id: str = "", owner: str = DEFAULT_OWNER, check: Callable[[int], None] = lambda size: None) -> Iterator[Draft]:
        """Yield a new file of an owner, which exists only if the block finishes it. Raises StorageFull if the disk is full.

        Its id is `id`, or a new one, with the mark of the owner. `check(size)` raises if the owner may not store a file of this size.
        """
        with self._errors():
            draft = self._draft((id or new_file_id()) + mark(owner), owner, Bounds(self._most - self.taken(), self._longest, check))
        try:
            with self._errors():
                yield draft
        finally:
            draft.close()

    def usage(self, owner: str) -> tuple[int, int]:
        """Return how many files an owner has, and their bytes. The files themselves are counted, so the numbers cannot drift."""
        sizes = [size() for id, size in self._ids() if _mark_of(id) == mark(owner)]
        return len(sizes), sum(sizes)

    def get(self, id: str) -> File:
        """Return the description of a file. Raises FileNotFound, also if it belongs to an owner whom the caller does not see."""
        if ID.fullmatch(id):
            with contextlib.suppress(FileNotFoundError):
                file = File(**orjson.loads(self._description(id)))
                if callers.sees(file.owner):
                    return file
        raise FileNotFound(f"File {id!r} does not exist. It was deleted or has expired.")

    def content(self, id: str) -> Content:
        """Return a file's content. Raises FileNotFound."""
        self.get(id)
        return self._content(id)

    def page(self, after: str | None, limit: int, purpose: str | None, *, newest_first: bool) -> tuple[list[File], bool]:
        """Return files that the caller sees in the order of their creation, and whether more follow."""
        owner = callers.only_owner()
        # By their names: the descriptions of the files of other owners are not read.
        ids = sorted((id for id, _ in self._ids() if owner is None or _mark_of(id) == mark(owner)), reverse=newest_first)
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

    def delete(self, id: str) -> File:
        """Delete a file and return its description. Raises FileNotFound."""
        file = self.get(id)
        self._delete(id)
        return file

    def sweep(self) -> int:
        """Delete expired files and folders of batches. Return the bytes that remain."""
        self._delete_expired(time.time())
        self._counted_at = float("-inf")
        return self.taken()

    def taken(self) -> int:
        """Return the bytes of all files, counted lately."""
        if time.monotonic() - self._counted_at > self.count_every_s:
            self._used = self._count()
            self._counted_at = time.monotonic()
        return self._used

    @abstractmethod
    def batch(self, id: str) -> BatchFolder:
        """Return the folder of a batch, which may not exist."""

    @abstractmethod
    def _draft(self, id: str, owner: str, bounds: Bounds) -> Draft: ...

    @abstractmethod
    def _ids(self) -> Iterable[tuple[str, Callable[[], int]]]:
        """Yield the ids of all files, and what returns their sizes."""

    @abstractmethod
    def _description(self, id: str) -> bytes:
        """Return the description of a file. Raises FileNotFoundError."""

    @abstractmethod
    def _content(self, id: str) -> Content: ...

    @abstractmethod
    def _delete(self, id: str) -> None: ...

    @abstractmethod
    def _delete_expired(self, now: float) -> None: ...

    @abstractmethod
    def _count(self) -> int: ...

    def _errors(self) -> contextlib.AbstractContextManager[None]:
        """Report the errors of a draft."""
        return contextlib.nullcontext()


def files() -> Files:
    """Return the files of this process."""
    return _of(settings())


@cache
def _of(settings: Settings) -> Files:
    longest, most_bytes = settings.max_file_bytes, settings.max_files_bytes
    if isinstance(settings.files, BucketURL):
        # Its library takes 6 MiB, which only installations with a bucket should pay.
        from app.buckets.objects import Objects
        from app.store.bucket_files import BucketFiles

        return BucketFiles(Objects(settings.files, unavailable=FilesUnavailable), longest, most_bytes)
    from app.store.local_files import LocalFiles

    return LocalFiles(settings.files, longest, most_bytes)


def captures() -> Captures:
    """Return the captured rows of this process."""
    return _captures_of(settings())


@cache
def _captures_of(settings: Settings) -> Captures:
    return Captures(open_capture_folder(settings.files) if settings.files is not None else None, settings.max_capture_bytes)


def new_file_id() -> str:
    """Return a new id. Ids sort by creation time."""
    return f"file-{new_id(time.time())}"


def mark(owner: str) -> str:
    """Return what the ids of an owner's files end with. Those of the default owner have no mark."""
    return "" if owner == DEFAULT_OWNER else f"x{owners.mark(owner).rstrip('~')}"


def packed(file: File) -> bytes:
    """Encode a description. A release without owners can read it if the file belongs to the default owner."""
    return orjson.dumps({name: value for name, value in asdict(file).items() if (name, value) != ("owner", DEFAULT_OWNER)})


def _mark_of(id: str) -> str:
    match = _MARK.search(id)
    return match[0] if match else ""


def full(error: OSError, volume: str = "files") -> StorageFull | None:
    """Return StorageFull for the error of a failed write if the volume has no room, else None."""
    no_room = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return StorageFull(f"The volume of the {volume} is full ({error.strerror}). Free some space, then try again.") if no_room else None
