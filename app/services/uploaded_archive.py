"""The body of an upload: written to disk as it arrives, so that it takes no memory."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Final

from app import metrics
from app.core.errors import InvalidInput, PayloadTooLarge, RequestTimeout
from app.registry import archives
from app.settings import Settings

_BUFFERED: Final = 1 << 20


class UploadedArchive:
    """An archive on disk."""

    def __init__(self, stage: Path, settings: Settings) -> None:
        """Use the empty folder `stage`."""
        self._stage = stage
        self._settings = settings
        self._archive = stage / "archive"
        self._size = 0
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The SHA-256 of what was read, in hex."""
        return self._hash.hexdigest()

    async def read(self, body: AsyncIterable[bytes], sha256: bytes | None) -> None:
        """Write the body to disk as it arrives. Raises PayloadTooLarge, RequestTimeout, or InvalidInput if it has another SHA-256."""
        began, waiting, size = time.monotonic(), [], 0
        async for chunk in body:
            waiting.append(chunk)
            size += len(chunk)
            if self._size + size > self._settings.max_version_bytes:
                raise too_large(self._settings)
            if time.monotonic() - began > self._settings.publish_body_s:
                raise RequestTimeout(f"The version did not arrive within {self._settings.publish_body_s:g} s (CELERIAC_PUBLISH_BODY_S).")
            if size >= _BUFFERED:
                await asyncio.to_thread(self._write, b"".join(waiting))
                waiting, size = [], 0
        await asyncio.to_thread(self._write, b"".join(waiting))
        if sha256 is not None and sha256 != self._hash.digest():
            given, actual = (base64.b64encode(digest).decode() for digest in (sha256, self._hash.digest()))
            detail = f"The SHA-256 of the body is {actual}, not {given} as Content-Digest says. Send the archive again."
            raise InvalidInput(detail, pointer="")

    def unpack(self) -> Path:
        """Return a folder with the content. Raises the errors of `archives.unpack`."""
        folder = self._stage / "folder"
        folder.mkdir()
        archives.unpack(self._archive, folder, self._settings.max_version_bytes)
        self._archive.unlink()
        return folder

    def _write(self, data: bytes) -> None:
        with self._archive.open("ab") as file:
            file.write(data)
        self._hash.update(data)
        self._size += len(data)
        metrics.PUBLISHED_BYTES.inc(len(data))


def too_large(settings: Settings) -> PayloadTooLarge:
    """Return the error for an archive above the limit."""
    return PayloadTooLarge(
        f"The version is larger than {settings.max_version_bytes} bytes, the limit of this server (CELERIAC_MAX_VERSION_BYTES)."
    )
