"""The folder of one batch: on the volume that all processes mount, or in a bucket."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Literal, Protocol

from app.core.batches import Part
from app.core.errors import FilesUnavailable

if TYPE_CHECKING:
    from app.buckets.objects import Objects

BATCHES: Final = "batches"
"""The name of the folder that holds the folders of batches."""
UNTIL: Final = "until"
"""The name of the file, or of the folder of objects, that has the times at which folders may be deleted."""


def part_name(part: Part) -> str:
    """Return the name of the answers of some rows in the folder of their batch."""
    return f"parts/{part.first:012d}-{part.count}"


class Content(Protocol):
    """A file or an object."""

    def open(self, mode: Literal["rb"], /) -> IO[bytes]:
        """Open it for reading, as a seekable file. Raises FileNotFoundError."""
        ...


class BatchFolder(Protocol):
    """The files of a batch, by their names in it."""

    def read(self, name: str) -> bytes:
        """Return the content of a file. Raises FileNotFoundError."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Write a file completely or not at all."""
        ...

    def content(self, name: str) -> Content:
        """Return a file, which may not exist."""
        ...

    def exists(self, name: str) -> bool:
        """Return whether a file exists."""
        ...

    def draft(self, name: str) -> IO[bytes]:
        """Open a new file of this machine for writing and reading. It gets a name by `take`."""
        ...

    def take(self, file: IO[bytes], name: str) -> None:
        """Store a complete draft under its name."""
        ...

    def discard(self, file: IO[bytes]) -> None:
        """Close a draft, and delete it unless it was taken."""
        ...

    def keep_until(self, until: float) -> None:
        """Set the time at which the folder may be deleted, in seconds since 1970."""
        ...

    def remove(self) -> None:
        """Delete all files."""
        ...


@dataclass(frozen=True, slots=True)
class LocalBatchFolder:
    """A folder on a volume."""

    path: Path

    def __str__(self) -> str:
        """Return the path."""
        return str(self.path)

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        return (self.path / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Write a file."""
        self.path.mkdir(parents=True, exist_ok=True)
        half = self.path / f".{name}"
        half.write_bytes(content)
        half.replace(self.path / name)

    def content(self, name: str) -> Path:
        """Return the path of a file."""
        return self.path / name

    def exists(self, name: str) -> bool:
        """Return whether a file exists."""
        return (self.path / name).is_file()

    def draft(self, name: str) -> IO[bytes]:
        """Open a file beside its place, so that it can be renamed."""
        place = self.path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        return place.with_name(f".{place.name}.{os.urandom(6).hex()}").open("w+b")

    def take(self, file: IO[bytes], name: str) -> None:
        """Rename a file."""
        file.flush()
        os.fsync(file.fileno())
        Path(file.name).replace(self.path / name)

    def discard(self, file: IO[bytes]) -> None:
        """Close a file, and delete it unless it was renamed."""
        # A full disk refuses what is buffered once more.
        with contextlib.suppress(OSError):
            file.close()
        Path(file.name).unlink(missing_ok=True)

    def keep_until(self, until: float) -> None:
        """Set the modification time of an empty file."""
        self.path.mkdir(parents=True, exist_ok=True)
        keep_until(self.path, until)

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.path, ignore_errors=True)


def keep_until(folder: Path, until: float) -> None:
    """Set the time at which the folder of a file or batch may be deleted."""
    mark = folder / UNTIL
    mark.touch()
    os.utime(mark, (until, until))


@dataclass(frozen=True, slots=True)
class BucketBatchFolder:
    """The objects under a prefix."""

    objects: Objects
    prefix: str

    def __str__(self) -> str:
        """Return the address of the folder."""
        return f"{self.objects.url}/{self.prefix}"

    def read(self, name: str) -> bytes:
        """Return the content of an object."""
        answer = self.objects.read(f"{self.prefix}/{name}")
        if answer is None:
            raise FileNotFoundError(2, "the object does not exist", f"{self}/{name}")
        return answer[0]

    def write(self, name: str, content: bytes) -> None:
        """Write an object."""
        self.objects.upload(f"{self.prefix}/{name}", content)

    def content(self, name: str) -> Content:
        """Return an object."""
        from app.buckets.streams import StoredObject

        return StoredObject(self.objects, f"{self.prefix}/{name}")

    def exists(self, name: str) -> bool:
        """Return whether an object exists."""
        return self.objects.find(f"{self.prefix}/{name}") is not None

    def draft(self, name: str) -> IO[bytes]:
        """Open a temporary file without a name, of which a process that is killed leaves nothing."""
        return tempfile.TemporaryFile()

    def take(self, file: IO[bytes], name: str) -> None:
        """Upload a file."""
        file.seek(0)
        self.objects.upload(f"{self.prefix}/{name}", file)

    def discard(self, file: IO[bytes]) -> None:
        """Close a file, which deletes it."""
        with contextlib.suppress(OSError):
            file.close()

    def keep_until(self, until: float) -> None:
        """Add a mark for the next full hour. A batch moves the time often, and this leaves few marks."""
        mark_until(self.objects, self.prefix, -(-until // 3600) * 3600)

    def remove(self) -> None:
        """Delete all objects. What a bucket that does not answer keeps is deleted when its time has come."""
        with contextlib.suppress(FilesUnavailable):
            remove_all(self.objects, self.prefix)


def mark_until(objects: Objects, prefix: str, until: float) -> None:
    """Set a time at which the objects under a prefix may be deleted. The latest one counts."""
    objects.upload(f"{UNTIL}/{max(0, int(until)):08x}/{prefix}", b"")


def remove_all(objects: Objects, prefix: str) -> None:
    """Delete the objects under a prefix."""
    objects.delete(entry.path for entry in objects.list(f"{prefix}/"))
