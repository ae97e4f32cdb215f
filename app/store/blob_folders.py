"""Where blobs are stored: a folder that all processes mount, or a bucket. Each blob has the time at which it may be deleted."""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from app.core.bucket_url import BucketURL
from app.core.errors import StoreUnavailable
from app.core.jobs import new_id

if TYPE_CHECKING:
    from app.buckets.objects import Objects

_PART: Final = ".part"
_TIMED: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{32}")
_SPARE_S: Final = 3600.0
"""How long the partly written blobs of dead processes are kept."""


class BlobFolder(Protocol):
    """Stores blobs by their names. Methods raise StoreUnavailable if a bucket does not answer, and OSError for a folder."""

    @property
    def count_every_s(self) -> float:
        """How long the total size may be remembered."""
        ...

    def write(self, body: bytes, until: float) -> str:
        """Write a blob completely or not at all. Returns its name."""
        ...

    def read(self, name: str) -> bytes:
        """Return a blob. Raises FileNotFoundError if it does not exist."""
        ...

    def remove(self, name: str) -> None:
        """Delete a blob, if it exists."""
        ...

    def sweep(self, before: float) -> int:
        """Delete blobs that may be deleted since a time before `before`. Returns the bytes that remain."""
        ...


def open_folder(location: Path | BucketURL) -> BlobFolder:
    """Return the folder or the bucket that a setting names."""
    if isinstance(location, Path):
        return LocalFolder(location)
    # Its library takes 6 MiB, which only installations with a bucket should pay.
    from app.buckets.fork_safe import ForkSafeObjects

    return BucketFolder(ForkSafeObjects(location, unavailable=StoreUnavailable))


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A folder. The modification time of a file is the time at which it may be deleted."""

    path: Path
    count_every_s: float = 10.0

    def __str__(self) -> str:
        """Return the path."""
        return str(self.path)

    def write(self, body: bytes, until: float) -> str:
        """Write a blob."""
        name = new_id(time.time())
        self.path.mkdir(parents=True, exist_ok=True)
        part = self.path / f"{name}{_PART}"
        with part.open("wb") as file:
            file.write(body)
            file.flush()
            # Accepted is durable: Redis would not lose it either.
            os.fsync(file.fileno())
        os.utime(part, (until, until))
        part.replace(self.path / name)
        return name

    def read(self, name: str) -> bytes:
        """Return a blob."""
        return (self.path / name).read_bytes()

    def remove(self, name: str) -> None:
        """Delete a blob."""
        (self.path / name).unlink(missing_ok=True)

    def sweep(self, before: float) -> int:
        """Delete expired blobs."""
        used = 0
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self.path):
                # Another process may remove it at this moment.
                with contextlib.suppress(FileNotFoundError):
                    about = entry.stat()
                    if about.st_mtime + (_SPARE_S if entry.name.endswith(_PART) else 0) < before:
                        Path(entry).unlink()
                    else:
                        used += about.st_size
        return used


@dataclass(frozen=True, slots=True)
class BucketFolder:
    """A bucket. The name of a blob begins with the time at which it may be deleted, so that a listing is enough to find expired ones."""

    objects: Objects
    count_every_s: float = 60.0
    """A listing costs money."""

    def __str__(self) -> str:
        """Return the address of the bucket."""
        return str(self.objects.url)

    def write(self, body: bytes, until: float) -> str:
        """Write a blob."""
        name = f"{max(0, int(until)):08x}-{new_id(time.time())}"
        self.objects.upload(name, body)
        return name

    def read(self, name: str) -> bytes:
        """Return a blob."""
        answer = self.objects.read(name)
        if answer is None:
            raise FileNotFoundError(2, "the object does not exist", name)
        return answer[0]

    def remove(self, name: str) -> None:
        """Delete a blob."""
        self.objects.delete([name])

    def sweep(self, before: float) -> int:
        """Delete expired blobs."""
        blobs = [blob for blob in self.objects.list("") if _TIMED.fullmatch(blob.path)]
        expired = {blob.path for blob in blobs if int(blob.path[:8], 16) < before}
        self.objects.delete(expired)
        return sum(blob.size for blob in blobs if blob.path not in expired)
