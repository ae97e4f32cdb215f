"""Reading the body of a request: bounded, of an accepted type, and decompressed."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from starlette.requests import Request

from app.api.http.budget import FREE_BYTES, Budget, Held, held
from app.api.http.headers import header, media_type
from app.api.http.offload import Offload
from app.api.http.reading import parse_object, submission
from app.core.errors import InvalidInput, PayloadTooLarge, RequestTimeout, UnsupportedMediaType, shown
from app.core.large_inputs import LargeInputs
from app.settings import Settings

JSON: Final = ("application/json",)
SMALL_BYTES: Final = 256 << 10
"""Limit of bodies that describe something and carry no data."""
_STEP: Final = 4096
"""Compressed bytes that are decompressed in the event loop."""
# Accepts the headers of gzip and of zlib. Clients mean either when they say deflate.
_ANY_HEADER: Final = 32 + zlib.MAX_WBITS


class Bodies:
    """Reads the bodies of requests within the limits of this process."""

    def __init__(self, settings: Settings, offload: Offload) -> None:
        self._budget = Budget(settings.max_bodies_bytes)
        self._offload = offload
        self._max_bytes = settings.max_body_bytes
        self._max_s = settings.api_body_s

    async def read(self, request: Request, limit: int | None = None, types: Iterable[str] = JSON) -> bytes:
        """Return the decompressed body.

        Args:
            request: The request.
            limit: Most bytes to accept. Defaults to `max_body_bytes`.
            types: Accepted content types. An empty string accepts a request without one.

        Raises:
            UnsupportedMediaType: The content type or encoding is not supported.
            PayloadTooLarge: The body is larger than the limit. The rest of it was not read or decompressed.
            RequestTimeout: The body was not complete in time.
            Overloaded: This process holds too many bodies.
        """
        limit = self._max_bytes if limit is None else limit
        if media_type(request) not in types:
            sent = header(request, b"content-type")
            sent = f"Unsupported content type {shown(sent)}." if sent else "The content type is missing."
            expected = next(iter(types))
            raise UnsupportedMediaType(f"{sent} Send {expected}, for example with curl -H 'Content-Type: {expected}'.")
        if int(header(request, b"content-length") or 0) > limit:
            raise _too_large(limit)
        memory = held(request.scope, self._budget)
        longest, began = self._max_s, time.monotonic()
        chunks, size = [], 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            if size > FREE_BYTES:
                memory.grow(size)
            if time.monotonic() - began > longest:
                raise RequestTimeout(f"The body was not complete after {longest:g} s. Send less, or send it faster.")
            chunks.append(chunk)
        body = b"".join(chunks)
        encoding = (header(request, b"content-encoding") or "identity").strip().lower()
        return body if encoding == "identity" else await _decompress(body, encoding, limit, memory)

    async def read_object(self, request: Request, limit: int = SMALL_BYTES) -> dict[str, Any]:
        """Return the body as a JSON object. Raises the errors of `read`, InvalidJSON or InvalidInput."""
        return parse_object(await self.read(request, limit))

    async def read_optional(self, request: Request, types: Iterable[str]) -> dict[str, Any]:
        """Return the body as a JSON object. An empty body is an empty object. Raises the errors of `read_object`."""
        content = await self.read(request, SMALL_BYTES, types)
        return parse_object(content) if content else {}

    async def read_submission(self, request: Request) -> dict[str, Any]:
        """Return the body of a job. If it is large, its inputs are `LargeInputs`. Raises the errors of `read_object`."""
        content = await self.read(request)
        if len(content) <= self._offload.above_bytes:
            return parse_object(content)
        body = await self._offload.run(len(content), submission, content)
        if isinstance(body.get("inputs"), LargeInputs):
            body["inputs"] = replace(body["inputs"], content=content)
        return body


async def _decompress(body: bytes, encoding: str, limit: int, memory: Held) -> bytes:
    if encoding not in ("gzip", "deflate"):
        raise UnsupportedMediaType(f"Unsupported content encoding {shown(encoding)}. Use gzip or deflate, or do not compress the body.")
    # A kilobyte may become a megabyte. zlib lets other threads run meanwhile.
    small = len(body) <= _STEP
    content = _inflate(body, encoding, limit) if small else await asyncio.to_thread(_inflate, body, encoding, limit)
    memory.grow(len(body) + len(content))
    return content


def _inflate(body: bytes, encoding: str, limit: int) -> bytes:
    reader = zlib.decompressobj(_ANY_HEADER)
    try:
        # One byte more than the limit shows whether a body exceeds it, however much would follow.
        content = reader.decompress(body, limit + 1)
    except zlib.error as error:
        raise InvalidInput(f"The body is not compressed with {encoding}, which its content encoding names: {error}", pointer="") from None
    if len(content) > limit:
        raise _too_large(limit)
    if not reader.eof or reader.unused_data:
        raise InvalidInput(f"The {encoding} stream of the body is cut off, or data follows after its end.", pointer="")
    return content


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than the limit of {limit} bytes. Split the rows, or submit a batch.")
