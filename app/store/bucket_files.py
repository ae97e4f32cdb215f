"""Files in a bucket.

`files/ID/content` is a file, and `files/ID/file.json` its description, which is written last: the file exists once it does.
`batches/ID/` is the folder of a batch. The name of an empty object below `until/` is the time at which one of them may be deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import IO, Final, cast

from app.buckets.objects import Objects
from app.buckets.streams import ObjectWriter, StoredObject
from app.store.batch_folders import BATCHES, UNTIL, BucketBatchFolder, mark_until, remove_all
from app.store.files import CONTENT, DESCRIPTION, ID, Bounds, Draft, File, Files, packed

_FILES: Final = "files"
_EXPIRE_AT_ONCE: Final = 100
"""Files and batches that one sweep deletes. The others wait for the next one."""


class BucketDraft(Draft):
    """A file that is uploaded in parts as it comes."""

    def __init__(self, objects: Objects, id: str, owner: str, bounds: Bounds) -> None:
        """Start a file."""
        super().__init__(id, owner, bounds)
        self._objects = objects
        self._writer = ObjectWriter(objects, f"{_FILES}/{id}/{CONTENT}")
        # The types of the standard library see no file in a RawIOBase.
        self.file = cast("IO[bytes]", self._writer)

    def _store(self, file: File) -> None:
        # First: content without a description is deleted then, too.
        mark_until(self._objects, f"{_FILES}/{self.id}", file.expires_at)
        self._writer.finish()
        self._objects.upload(f"{_FILES}/{self.id}/{DESCRIPTION}", packed(file))

    def close(self) -> None:
        """Abandon the upload unless it was finished."""
        self._writer.close()


class BucketFiles(Files):
    """All files of a bucket."""

    count_every_s = 60.0
    """A listing costs money."""

    def __init__(self, objects: Objects, longest: int, most_bytes: int) -> None:
        """Store files in a bucket."""
        super().__init__(longest, most_bytes)
        self._objects = objects

    def batch(self, id: str) -> BucketBatchFolder:
        """Return the folder of a batch."""
        return BucketBatchFolder(self._objects, f"{BATCHES}/{id}")

    def _draft(self, id: str, owner: str, bounds: Bounds) -> Draft:
        return BucketDraft(self._objects, id, owner, bounds)

    def _ids(self) -> Iterable[tuple[str, Callable[[], int]]]:
        for entry in self._objects.list(f"{_FILES}/"):
            _, id, name = entry.path.split("/", 2)
            if name == CONTENT and ID.fullmatch(id):
                yield id, partial(int, entry.size)

    def _description(self, id: str) -> bytes:
        answer = self._objects.read(f"{_FILES}/{id}/{DESCRIPTION}")
        if answer is None:
            raise FileNotFoundError(id)
        return answer[0]

    def _content(self, id: str) -> StoredObject:
        return StoredObject(self._objects, f"{_FILES}/{id}/{CONTENT}")

    def _delete(self, id: str) -> None:
        # First what makes it a file.
        self._objects.delete([f"{_FILES}/{id}/{DESCRIPTION}"])
        remove_all(self._objects, f"{_FILES}/{id}")

    def _delete_expired(self, now: float) -> None:
        latest: dict[str, int] = {}
        marks: dict[str, list[str]] = {}
        for entry in self._objects.list(f"{UNTIL}/"):
            _, until, prefix = entry.path.split("/", 2)
            latest[prefix] = max(latest.get(prefix, 0), int(until, 16))
            marks.setdefault(prefix, []).append(entry.path)
        expired = [prefix for prefix, until in latest.items() if until < now]
        for prefix in expired[:_EXPIRE_AT_ONCE]:
            remove_all(self._objects, prefix)
            self._objects.delete(marks[prefix])

    def _count(self) -> int:
        return sum(entry.size for folder in (_FILES, BATCHES) for entry in self._objects.list(f"{folder}/"))
