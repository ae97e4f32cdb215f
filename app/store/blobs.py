"""Large bodies and results are stored as blobs, in a folder that all processes mount or in a bucket. Redis holds a reference.

A reference replaces the bytes. It consists of a mark that no packed bytes begin with, the name and length of the blob, and its head, which
identifies the lost payload if the blob is gone.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import time
from dataclasses import replace
from functools import cache
from typing import Final

import orjson

from app.core.deliveries import Delivery
from app.core.errors import PayloadLost, QueueFull, StoreUnavailable
from app.core.tensors import Buffer
from app.settings import Settings, settings
from app.store.blob_folders import BlobFolder, open_folder

log = logging.getLogger(__name__)
_MARK: Final = b"\xff\xff\xff\xffblob"
"""Packed bytes begin with the length of their header, which is never this large."""
_NAME: Final = re.compile(r"([0-9a-f]{8}-)?[0-9a-f]{32}")


def is_reference(body: Buffer) -> bool:
    """Return whether the bytes are a reference to a blob."""
    return body[: len(_MARK)] == _MARK


def head(reference: Buffer) -> Delivery:
    """Return the delivery behind a reference, without its inputs."""
    return Delivery.unpack(_parts(reference)[3])


def peek(body: Buffer) -> Delivery:
    """Unpack a delivery without reading a file: the inputs are missing if they are in a blob."""
    return head(body) if is_reference(body) else Delivery.unpack(body)


class Blobs:
    """All blobs. Methods block: call them in a thread from an event loop."""

    def __init__(self, folder: BlobFolder | None, above_bytes: int, max_bytes: int) -> None:
        """Store bodies above `above_bytes` in `folder`, up to `max_bytes` in all. Without a folder every body stays in Redis."""
        self._folder = folder
        self._above = above_bytes
        self._max = max_bytes
        self._counted_at, self._used = float("-inf"), 0

    def takes(self, body: Buffer) -> bool:
        """Return whether a body is too large for Redis."""
        return self._folder is not None and len(body) > self._above

    def keep(self, body: bytes, ttl_s: float, head: bytes = b"") -> bytes:
        """Return a reference that is valid for `ttl_s` seconds, or `body` itself if it is small or cannot be written."""
        if self._folder is None or not self.takes(body):
            return body
        try:
            name = self._folder.write(body, time.time() + ttl_s)
        except (OSError, StoreUnavailable) as error:
            log.error("Could not write a blob of %d bytes to %s: %s", len(body), self._folder, error)
            return body
        self._used += len(body)
        description = orjson.dumps([name, len(body), hashlib.sha256(body).hexdigest()])
        return b"".join((_MARK, len(description).to_bytes(4, "little"), description, head))

    def keep_delivery(self, delivery: Delivery, ttl_s: float, packed: bytes = b"") -> bytes:
        """Do what `keep` does for a delivery. `packed` is its packed form, if the caller has it."""
        packed = packed or delivery.pack()
        return self.keep(packed, ttl_s, replace(delivery, inputs=[]).pack()) if self.takes(packed) else packed

    def fetch(self, body: bytes) -> bytes:
        """Return the bytes of a body or of the blob that it refers to. Raises PayloadLost, or StoreUnavailable if a bucket does not answer."""
        if not is_reference(body):
            return body
        name, size, digest, _ = _parts(body)
        try:
            data = self._folder_of(name).read(name)
        except OSError as error:
            raise PayloadLost(
                f"The blob {name} of {size} bytes cannot be read ({error.strerror}). Check that all processes have the same CELERIAC_BLOBS: {self._folder}."
            ) from None
        if len(data) != size or hashlib.sha256(data).hexdigest() != digest:
            raise PayloadLost(
                f"The blob {name} has changed since it was written: its length ({len(data)} of {size} bytes) or its sha256 differs."
            )
        return data

    def remove(self, body: Buffer) -> None:
        """Delete a blob that is no longer needed. If that fails, `sweep` deletes it later."""
        if is_reference(body):
            with contextlib.suppress(OSError, PayloadLost, StoreUnavailable):
                name = _parts(body)[0]
                self._folder_of(name).remove(name)

    def check_room(self) -> None:
        """Check the total size before the blob of a new job is written. Raises QueueFull above the limit."""
        if self._folder is not None and time.monotonic() - self._counted_at > self._folder.count_every_s:
            self._count()
        if self._used >= self._max:
            raise QueueFull(
                f"The blobs of waiting jobs and of results take {self._used} bytes; the limit is {self._max}. Try again when jobs have ended.",
                retry_after_s=5,
            )

    def sweep(self) -> int:
        """Delete expired blobs. Return the bytes that remain."""
        return self._count(before=time.time())

    def _count(self, before: float = float("-inf")) -> int:
        self._used = self._folder.sweep(before) if self._folder is not None else 0
        self._counted_at = time.monotonic()
        return self._used

    def _folder_of(self, name: str) -> BlobFolder:
        if self._folder is None:
            raise PayloadLost(
                f"The payload is the blob {name}, and this process has no folder of blobs. Set CELERIAC_BLOBS as for the other processes."
            )
        return self._folder


def blobs() -> Blobs:
    """Return the blobs of this process."""
    return _of(settings())


@cache
def _of(settings: Settings) -> Blobs:
    folder = open_folder(settings.blobs) if settings.blobs is not None else None
    return Blobs(folder, settings.blob_above_bytes, settings.max_blob_bytes)


def _parts(reference: Buffer) -> tuple[str, int, str, bytes]:
    """Return the name, the length, the sha256 and the head of a reference."""
    view = bytes(reference)
    at = len(_MARK) + 4
    end = at + int.from_bytes(view[len(_MARK) : at], "little")
    name, size, digest = orjson.loads(view[at:end])
    if not _NAME.fullmatch(name):
        raise PayloadLost(f"{name!r} is not the name of a blob.")
    return name, size, digest, view[end:]
