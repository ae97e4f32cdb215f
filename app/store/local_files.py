"""Files on a volume that the API and all workers mount."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from app.core.errors import FilesUnavailable
from app.store.batch_folders import BATCHES, UNTIL, LocalBatchFolder, keep_until
from app.store.capture_folders import CAPTURE
from app.store.files import CONTENT, DESCRIPTION, ID, Bounds, Draft, File, Files, full, packed

_HALF: Final = ".half-"
_SPARE_S: Final = 3600.0
"""How long the partly written files of dead processes are kept."""


class LocalDraft(Draft):
    """A file that is being written to a volume."""

    def __init__(self, folder: Path, id: str, owner: str, bounds: Bounds) -> None:
        """Start a file in the folder of all files."""
        super().__init__(id, owner, bounds)
        self._folder = folder
        self._half = folder / f"{_HALF}{id}-{os.urandom(4).hex()}"
        self._half.mkdir(parents=True)
        self.file = (self._half / CONTENT).open("w+b")

    def _store(self, file: File) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        (self._half / DESCRIPTION).write_bytes(packed(file))
        keep_until(self._half, file.expires_at)
        place = self._folder / self.id
        with contextlib.suppress(FileNotFoundError):
            place.rename(place.with_name(f"{_HALF}old-{os.urandom(4).hex()}"))
        self._half.rename(place)

    def close(self) -> None:
        """Delete the draft unless it was finished."""
        # A full disk refuses what is buffered once more.
        with contextlib.suppress(OSError):
            self.file.close()
        shutil.rmtree(self._half, ignore_errors=True)


class LocalFiles(Files):
    """All files of a folder. Without a folder each method raises FilesUnavailable."""

    count_every_s = 10.0

    def __init__(self, folder: Path | None, longest: int, most_bytes: int) -> None:
        """Store files in a folder."""
        super().__init__(longest, most_bytes)
        self._folder = folder

    @property
    def folder(self) -> Path:
        """The folder of all files."""
        if self._folder is None:
            raise FilesUnavailable(
                "This server keeps no files. Set CELERIAC_FILES to a bucket, or to a folder that the API and all workers mount."
            )
        return self._folder

    def usage(self, owner: str) -> tuple[int, int]:
        """Return how many files an owner has, and their bytes."""
        return super().usage(owner) if self._folder is not None else (0, 0)

    def sweep(self) -> int:
        """Delete expired files and folders of batches. Return the bytes that remain."""
        return super().sweep() if self._folder is not None else 0

    def batch(self, id: str) -> LocalBatchFolder:
        """Return the folder of a batch."""
        return LocalBatchFolder(self.folder / BATCHES / id)

    def _draft(self, id: str, owner: str, bounds: Bounds) -> Draft:
        return LocalDraft(self.folder, id, owner, bounds)

    def _ids(self) -> Iterable[tuple[str, Callable[[], int]]]:
        with contextlib.suppress(FileNotFoundError):
            return [(entry.name, partial(_size, Path(entry) / CONTENT)) for entry in os.scandir(self.folder) if ID.fullmatch(entry.name)]
        return []

    def _description(self, id: str) -> bytes:
        return (self.folder / id / DESCRIPTION).read_bytes()

    def _content(self, id: str) -> Path:
        return self.folder / id / CONTENT

    def _delete(self, id: str) -> None:
        shutil.rmtree(self.folder / id, ignore_errors=True)

    def _delete_expired(self, now: float) -> None:
        for folder in (*_folders(self.folder), *_folders(self.folder / BATCHES)):
            if folder.name not in (BATCHES, CAPTURE) and _until(folder) < now:
                shutil.rmtree(folder, ignore_errors=True)

    def _count(self) -> int:
        folders = [folder for folder in _folders(self.folder) if folder.name != CAPTURE]
        return sum(_size(Path(at) / name) for folder in folders for at, _, names in os.walk(folder) for name in names)

    def _errors(self) -> contextlib.AbstractContextManager[None]:
        return _storage_errors(self.folder)


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
        return (folder / UNTIL).stat().st_mtime
    try:
        return folder.stat().st_mtime + _SPARE_S
    except FileNotFoundError:
        return float("inf")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # another process removes it at this moment
        return 0
