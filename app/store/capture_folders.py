"""Where captured rows are stored: below `capture/` in the folder or the bucket of files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from app.core.bucket_url import BucketURL
from app.core.errors import FilesUnavailable
from app.store.batch_folders import Content

if TYPE_CHECKING:
    from app.buckets.objects import Objects

CAPTURE: Final = "capture"


class CaptureFolder(Protocol):
    """Stores files by their paths. Methods raise FilesUnavailable if a bucket does not answer, and OSError for a folder."""

    def write(self, path: str, content: bytes) -> None:
        """Write a file completely or not at all."""
        ...

    def read(self, path: str) -> bytes:
        """Return a file. Raises FileNotFoundError."""
        ...

    def content(self, path: str) -> Content:
        """Return a file that can be opened. It may not exist."""
        ...

    def exists(self, path: str) -> bool:
        """Return whether a file exists."""
        ...

    def remove(self, paths: Iterable[str]) -> None:
        """Delete files, if they exist."""
        ...

    def list(self, prefix: str) -> list[tuple[str, int]]:
        """Return the paths below a folder, and their sizes."""
        ...


def open_capture_folder(location: Path | BucketURL) -> CaptureFolder:
    """Return the folder or the bucket that a setting names."""
    if isinstance(location, Path):
        return LocalCaptureFolder(location / CAPTURE)
    # Its library takes 6 MiB, which only installations with a bucket should pay.
    from app.buckets.objects import Objects

    return BucketCaptureFolder(Objects(location, unavailable=FilesUnavailable))


@dataclass(frozen=True, slots=True)
class LocalCaptureFolder:
    """A folder on a volume."""

    path: Path

    def write(self, path: str, content: bytes) -> None:
        """Write a file under another name, then rename it."""
        place = self.path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        half = place.with_name(f".{place.name}")
        half.write_bytes(content)
        half.replace(place)

    def read(self, path: str) -> bytes:
        """Return a file."""
        return (self.path / path).read_bytes()

    def content(self, path: str) -> Path:
        """Return the path of a file."""
        return self.path / path

    def exists(self, path: str) -> bool:
        """Return whether a file exists."""
        return (self.path / path).is_file()

    def remove(self, paths: Iterable[str]) -> None:
        """Delete files and the folders that they leave empty."""
        for path in paths:
            place = self.path / path
            place.unlink(missing_ok=True)
            for folder in list(place.parents)[: len(Path(path).parents) - 1]:
                try:
                    folder.rmdir()
                except OSError:
                    break  # it holds more files

    def list(self, prefix: str) -> list[tuple[str, int]]:
        """Return the paths below a folder."""
        listed = []
        for folder, _, names in os.walk(self.path / prefix):
            for name in names:
                place = Path(folder) / name
                try:
                    listed.append((place.relative_to(self.path).as_posix(), place.stat().st_size))
                except FileNotFoundError:
                    continue  # another process has deleted it
        return listed


@dataclass(frozen=True, slots=True)
class BucketCaptureFolder:
    """The objects below a prefix."""

    objects: Objects

    def write(self, path: str, content: bytes) -> None:
        """Write an object."""
        self.objects.upload(f"{CAPTURE}/{path}", content)

    def read(self, path: str) -> bytes:
        """Return the content of an object."""
        answer = self.objects.read(f"{CAPTURE}/{path}")
        if answer is None:
            raise FileNotFoundError(2, "the object does not exist", path)
        return answer[0]

    def content(self, path: str) -> Content:
        """Return an object."""
        from app.buckets.streams import StoredObject

        return StoredObject(self.objects, f"{CAPTURE}/{path}")

    def exists(self, path: str) -> bool:
        """Return whether an object exists."""
        return self.objects.find(f"{CAPTURE}/{path}") is not None

    def remove(self, paths: Iterable[str]) -> None:
        """Delete objects."""
        self.objects.delete(f"{CAPTURE}/{path}" for path in paths)

    def list(self, prefix: str) -> list[tuple[str, int]]:
        """Return the objects below a prefix."""
        return [(entry.path.removeprefix(f"{CAPTURE}/"), entry.size) for entry in self.objects.list(f"{CAPTURE}/{prefix}")]
