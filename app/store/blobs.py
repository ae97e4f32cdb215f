"""Large bodies and results lie in a folder that all processes mount; through Redis travels only where.

A reference stands in the place of the bytes: a mark that no packed bytes begin with, where and how long the blob is, and
its head, which tells what is lost if the blob ever is. A blob's time of change is the time at which it may go.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

import orjson

from app.core.deliveries import Delivery
from app.core.errors import PayloadLost, QueueFull
from app.core.jobs import new_id
from app.core.tensors import Buffer
from app.settings import Settings, settings

log = logging.getLogger(__name__)
_MARK: Final = b"\xff\xff\xff\xffblob"
"""Packed bytes begin with the length of their header, which is never this large."""
_NAME: Final = re.compile(r"[0-9a-f]{32}")
_PART: Final = ".part"
_SPARE_S: Final = 3600.0
"""What nobody gave a time lies so long: the half-written blobs of processes that died."""
_COUNT_EVERY_S: Final = 10.0


def is_reference(body: Buffer) -> bool:
    return body[: len(_MARK)] == _MARK


def head(reference: Buffer) -> Delivery:
    """The delivery that a reference stands for, without its inputs."""
    return Delivery.unpack(_parts(reference)[3])


def peek(body: Buffer) -> Delivery:
    """A packed delivery, which lacks its inputs if they are in a blob. Reads no file."""
    return head(body) if is_reference(body) else Delivery.unpack(body)


class Blobs:
    """`folder` None: every body stays where it is. Blocks: call it in a thread from an event loop."""

    def __init__(self, folder: Path | None, above_bytes: int, max_bytes: int) -> None:
        self._folder = folder
        self._above = above_bytes
        self._max = max_bytes
        self._counted_at, self._used = float("-inf"), 0

    def takes(self, body: Buffer) -> bool:
        """Is it too large for Redis?"""
        return self._folder is not None and len(body) > self._above

    def keep(self, body: bytes, ttl_s: float, head: bytes = b"") -> bytes:
        """What travels: a reference that holds for `ttl_s`, or `body` itself where it is small or cannot be written."""
        if self._folder is None or not self.takes(body):
            return body
        name = new_id(time.time())
        try:
            _write(self._folder, name, body, time.time() + ttl_s)
        except OSError as error:
            log.error("a blob of %d bytes cannot be written into %s: %s", len(body), self._folder, error)
            return body
        self._used += len(body)
        found = orjson.dumps([name, len(body), hashlib.sha256(body).hexdigest()])
        return b"".join((_MARK, len(found).to_bytes(4, "little"), found, head))

    def keep_delivery(self, delivery: Delivery, ttl_s: float, packed: bytes = b"") -> bytes:
        """The same for a delivery, packed already where the caller has it so."""
        packed = packed or delivery.pack()
        return self.keep(packed, ttl_s, replace(delivery, inputs=[]).pack()) if self.takes(packed) else packed

    def fetch(self, body: bytes) -> bytes:
        """The bytes themselves. Raises PayloadLost."""
        if not is_reference(body):
            return body
        name, size, digest, _ = _parts(body)
        try:
            found = self._path(name).read_bytes()
        except OSError as error:
            raise PayloadLost(
                f"the blob {name} of {size} bytes cannot be read ({error.strerror}): do all processes mount {self._folder}?"
            ) from None
        if len(found) != size or hashlib.sha256(found).hexdigest() != digest:
            raise PayloadLost(f"the blob {name} is not what was written: {len(found)} bytes of {size}, or another sha256")
        return found

    def remove(self, body: Buffer) -> None:
        """When nobody needs it any longer. What cannot be removed now goes when its time is over."""
        if is_reference(body):
            with contextlib.suppress(OSError, PayloadLost):
                self._path(_parts(body)[0]).unlink()

    def check_room(self) -> None:
        """Before a blob of a new job is written. Raises QueueFull above the bound of all blobs together."""
        if time.monotonic() - self._counted_at > _COUNT_EVERY_S:
            self._count()
        if self._used >= self._max:
            raise QueueFull(
                f"the blobs of waiting jobs and results have {self._used} bytes, the limit is {self._max}: try again when jobs have ended",
                retry_after_s=5,
            )

    def sweep(self) -> int:
        """Removes what is past its time. Returns the bytes that stay."""
        return self._count(before=time.time())

    def _count(self, before: float = float("-inf")) -> int:
        used = 0
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self._folder) if self._folder else ():
                # Another process may remove it at this moment.
                with contextlib.suppress(FileNotFoundError):
                    about = entry.stat()
                    if about.st_mtime + (_SPARE_S if entry.name.endswith(_PART) else 0) < before:
                        Path(entry).unlink()
                    else:
                        used += about.st_size
        self._counted_at, self._used = time.monotonic(), used
        return used

    def _path(self, name: str) -> Path:
        if self._folder is None:
            raise PayloadLost(
                f"the payload is the blob {name}, and this process knows no folder of blobs: set CELERIAC_BLOBS as in the others"
            )
        return self._folder / name


def blobs() -> Blobs:
    """Those of this process."""
    return _of(settings())


@cache
def _of(known: Settings) -> Blobs:
    return Blobs(known.blobs, known.blob_above_bytes, known.max_blob_bytes)


def _write(folder: Path, name: str, body: bytes, until: float) -> None:
    """All of it or nothing; raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{name}{_PART}"
    with part.open("wb") as file:
        file.write(body)
        file.flush()
        # Accepted is durable: Redis would not lose it either.
        os.fsync(file.fileno())
    os.utime(part, (until, until))
    part.replace(folder / name)


def _parts(reference: Buffer) -> tuple[str, int, str, bytes]:
    """Name, bytes, sha256, head."""
    view = bytes(reference)
    at = len(_MARK) + 4
    end = at + int.from_bytes(view[len(_MARK) : at], "little")
    name, size, digest = orjson.loads(view[at:end])
    if not _NAME.fullmatch(name):
        raise PayloadLost(f"{name!r} is no name of a blob")
    return name, size, digest, view[end:]
