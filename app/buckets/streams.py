"""Objects as files: read in ranges, and written as the content comes."""

from __future__ import annotations

import io
import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Final, Literal, cast

from typing_extensions import Buffer

from app.buckets.objects import Objects

_READ_AHEAD: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that can be opened like a path."""

    objects: Objects
    path: str

    def __str__(self) -> str:
        """Return the address of the object."""
        return f"{self.objects.url}/{self.path}"

    def open(self, mode: Literal["rb"] = "rb") -> IO[bytes]:
        """Open the object for reading, as a seekable file. Raises FileNotFoundError."""
        about = self.objects.find(self.path)
        if about is None:
            raise FileNotFoundError(2, "the object does not exist", str(self))
        # The types of the standard library see no file in a BufferedReader.
        return cast("IO[bytes]", io.BufferedReader(_Reader(self.objects, self.path, about.size), _READ_AHEAD))


class _Reader(io.RawIOBase):
    """Reads an object in ranges."""

    def __init__(self, objects: Objects, path: str, size: int) -> None:
        self._objects = objects
        self._path = path
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError(22, "cannot seek before the start of an object")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        last = min(self._size, self._at + len(view))
        if last <= self._at:
            return 0
        data = self._objects.read_range(self._path, self._at, last)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


class ObjectWriter(io.RawIOBase):
    """Writes an object, which exists once `finish` has returned. Only some parts of it are in memory."""

    def __init__(self, objects: Objects, path: str) -> None:
        """Start a new object. An object at this path is replaced at the end."""
        self._stack = ExitStack()
        self._append = self._stack.enter_context(objects.writing(path))
        self._size = 0

    def writable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._size

    def write(self, data: Buffer) -> int:
        """Append data."""
        size = memoryview(data).nbytes
        self._append(data)
        self._size += size
        return size

    def finish(self) -> None:
        """Complete the object."""
        self._stack.close()

    def close(self) -> None:
        """Abandon the object, unless it is complete."""
        self._stack.__exit__(InterruptedError, InterruptedError(), None)
        super().close()
