"""Marks of the version that a process is calling, in a file that outlives the process.

Each process maps a file and holds a lock on it. Entering a call writes the version into the mapped memory, which costs no system call.
When the process dies, the kernel keeps the memory and releases the lock. Who gets the lock knows that the process is dead.
"""

from __future__ import annotations

import fcntl
import logging
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

log = logging.getLogger(__name__)
_SLOT_BYTES: Final = 256
_LOADING: Final = _SLOT_BYTES
"""Offset of the second slot: a thread loads a version while the event loop calls another one."""
_SUFFIX: Final = ".mark"


@dataclass(frozen=True, slots=True)
class Mark:
    """A version: its name, its number and its sha256. It fits into a slot."""

    name: str
    version: str
    sha256: str

    def encode(self) -> bytes:
        """Return the content of a slot."""
        return f"{self.name} {self.version} {self.sha256}".encode().ljust(_SLOT_BYTES, b"\0")

    @classmethod
    def decode(cls, slot: bytes) -> Mark | None:
        """Return the mark in a slot, or None if it is empty."""
        parts = slot.rstrip(b"\0").decode(errors="replace").split(" ")
        return cls(*parts) if len(parts) == 3 and parts[0] else None


class Marks:
    """The marks of this process, and those that dead processes left in the same folder.

    Attributes:
        calling: The call in progress on the event loop: a new tuple with the name of the version, or None.
    """

    def __init__(self, folder: Path, process: str) -> None:
        """Create the file of this process. Raises OSError if the folder cannot be written."""
        self.calling: tuple[str] | None = None
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{process}{_SUFFIX}"
        # Under another name until it is locked, or its owner would seem to be dead.
        draft = folder / f".{process}"
        self._file: IO[bytes] = draft.open("w+b")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._file.truncate(2 * _SLOT_BYTES)
        draft.rename(self._path)
        self._memory = mmap.mmap(self._file.fileno(), 2 * _SLOT_BYTES)

    def enter(self, encoded: bytes, which: str) -> None:
        """Note that the event loop calls the version `which`. `encoded` is what `Mark.encode` returned."""
        self._memory[:_SLOT_BYTES] = encoded
        self.calling = (which,)

    def leave(self) -> None:
        """Note that the call has returned."""
        self._memory[0] = 0
        self.calling = None

    @contextmanager
    def loading(self, mark: Mark) -> Iterator[None]:
        """Note that the block loads a version and calls it for the first time, in a thread."""
        self._memory[_LOADING : 2 * _SLOT_BYTES] = mark.encode()
        try:
            yield
        finally:
            self._memory[_LOADING] = 0

    def close(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)
        self._memory.close()
        self._file.close()

    def left_by_dead(self) -> Iterator[tuple[Path, list[Mark]]]:
        """Yield the file of each process that has died, and the versions that it was calling. `remove` the file once they are reported."""
        for path in self._folder.glob(f"*{_SUFFIX}"):
            if path == self._path:
                continue
            try:
                with path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    content = file.read(2 * _SLOT_BYTES)
            except (BlockingIOError, FileNotFoundError):
                # Its owner lives, or another process has reported it.
                continue
            except OSError as error:
                log.warning("Could not read the mark %s: %s", path, error)
                continue
            slots = (content[:_SLOT_BYTES], content[_SLOT_BYTES:])
            # A mark is erased by its first byte.
            yield path, [mark for slot in slots if slot[:1] != b"\0" and (mark := Mark.decode(slot))]

    @staticmethod
    def remove(path: Path) -> None:
        """Remove the file of a dead process."""
        path.unlink(missing_ok=True)
