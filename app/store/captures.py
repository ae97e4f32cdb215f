"""Files of captured rows: `MODEL/date=2026-02-28/hour=09/ID.parquet`, so that DuckDB, Spark and pandas read their folder as one table.

The ID of a file has its hour, version, number of rows and time of deletion, so a listing is enough to find what has expired.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from app.core.errors import FileNotFound, FilesUnavailable
from app.core.jobs import new_id
from app.core.models import VERSION
from app.store.batch_folders import Content
from app.store.capture_folders import CaptureFolder

_ID: Final = re.compile(rf"([0-9]{{10}})-({VERSION.pattern})-([0-9]{{1,12}})-([0-9]{{1,12}})-[0-9a-f]{{32}}")
_SUFFIX: Final = ".parquet"
_HOUR: Final = "%Y%m%d%H"
_SWEEP_EVERY_S: Final = 600.0
"""A listing of a bucket costs money."""
HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class CaptureFile:
    """A file of captured rows. `hour` is when they were answered."""

    model: str
    id: str
    hour: datetime
    version: str
    rows: int
    expires_at: int
    bytes: int = 0

    @classmethod
    def parse(cls, model: str, id: str, size: int = 0) -> Self | None:
        """Return the file that an ID names, or None if it is not the ID of one."""
        match = _ID.fullmatch(id)
        if match is None:
            return None
        try:
            hour = datetime.strptime(match[1], _HOUR).replace(tzinfo=UTC)
        except ValueError:
            return None
        return cls(model, id, hour, match[2], int(match[3]), int(match[4]), size)

    @property
    def path(self) -> str:
        """The path below the folder of all captured rows."""
        return f"{self.model}/date={self.hour:%Y-%m-%d}/hour={self.hour:%H}/{self.id}{_SUFFIX}"


class Captures:
    """All files of captured rows. Methods block: call them in a thread from an event loop. They raise FilesUnavailable, or OSError of a folder."""

    def __init__(self, folder: CaptureFolder | None, max_bytes: int) -> None:
        """Store files in a folder, up to `max_bytes` in all. Without a folder each method but `sweep` raises FilesUnavailable."""
        self._opened = folder
        self._max_bytes = max_bytes
        self._swept_at, self._bytes = float("-inf"), 0

    @property
    def _folder(self) -> CaptureFolder:
        if self._opened is None:
            raise FilesUnavailable(
                "This server keeps no files. Set CELERIAC_FILES to a bucket, or to a folder that the API and all workers mount."
            )
        return self._opened

    def write(self, model: str, version: str, hour: datetime, rows: int, expires_at: int, content: bytes) -> None:
        """Write the rows of an hour."""
        id = f"{hour:{_HOUR}}-{version}-{rows}-{expires_at}-{new_id(time.time())}"
        file = CaptureFile(model, id, hour, version, rows, expires_at)
        self._folder.write(file.path, content)

    def files(
        self, model: str, version: str | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> list[CaptureFile]:
        """Return the files of a model, the oldest first. `since` and `until` are rounded outwards to hours."""
        listed = [file for path, file in self._list(f"{model}/") if path == file.path]
        if version is not None:
            listed = [file for file in listed if file.version == version]
        if since is not None:
            listed = [file for file in listed if file.hour + HOUR > since]
        if until is not None:
            listed = [file for file in listed if file.hour <= until]
        return sorted(listed, key=lambda file: file.id)

    def content(self, model: str, id: str) -> Content:
        """Return the content of a file. Raises FileNotFound."""
        file = CaptureFile.parse(model, id)
        if file is None or not self._folder.exists(file.path):
            raise FileNotFound(f"File {id!r} of captured rows does not exist. It was deleted or has expired.")
        return self._folder.content(file.path)

    def read(self, file: CaptureFile) -> bytes:
        """Return the content of a file. Raises FileNotFoundError if it was deleted meanwhile."""
        return self._folder.read(file.path)

    def replace(self, file: CaptureFile, rows: int, content: bytes) -> None:
        """Replace a file by one with fewer rows."""
        self.write(file.model, file.version, file.hour, rows, file.expires_at, content)
        self._folder.remove([file.path])

    def remove(self, file: CaptureFile) -> None:
        """Delete a file."""
        self._folder.remove([file.path])

    def sweep(self) -> int:
        """Delete expired files, and the oldest ones above the limit. Return the bytes that remain. It looks every 10 minutes only."""
        if self._opened is None or time.monotonic() - self._swept_at < _SWEEP_EVERY_S:
            return self._bytes
        now = time.time()
        listed = sorted(self._list(""), key=lambda entry: entry[1].id)
        removed = []
        self._bytes = sum(file.bytes for _, file in listed)
        for path, file in sorted(listed, key=lambda entry: entry[1].expires_at >= now):
            if file.expires_at >= now and self._bytes <= self._max_bytes:
                break
            removed.append(path)
            self._bytes -= file.bytes
        self._opened.remove(removed)
        self._swept_at = time.monotonic()
        return self._bytes

    def _list(self, prefix: str) -> list[tuple[str, CaptureFile]]:
        """Return paths and files. The path of a file that a process which died left half written is another one."""
        files = []
        for path, size in self._folder.list(prefix):
            name = path.rpartition("/")[2].lstrip(".")
            if file := CaptureFile.parse(path.partition("/")[0], name.removesuffix(_SUFFIX), size):
                files.append((path, file))
        return files
