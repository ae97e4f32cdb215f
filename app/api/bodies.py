"""Reading a request's body: bounded, of the right type, decompressed, and JSON."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from starlette.requests import Request

from app.api.budget import FREE_BYTES, Held, held
from app.api.gateway import gateway
from app.api.reading import Large, parse_object, submission
from app.core.errors import InvalidInput, PayloadTooLarge, RequestTimeout, UnsupportedMediaType, shown
from app.core.fields import known as known

JSON: Final = ("application/json",)
SMALL_BYTES: Final = 256 << 10
"""The limit of bodies that describe something and hold no data."""
_STEP: Final = 4096
"""Compressed bytes that are decompressed in the event loop."""
# Accepts the headers of gzip and of zlib alike; clients mean either when they say deflate.
_ANY_HEADER: Final = 32 + zlib.MAX_WBITS


def header(request: Request, name: bytes) -> str | None:
    """The headers of that name, in small letters, as one line (RFC 9110, section 5.3): a second one does not hide behind the first.

    Starlette's own answer to one that is missing takes an exception.
    """
    found: list[bytes] = [value for key, value in request.scope["headers"] if key == name]
    return b", ".join(found).decode("latin-1") if found else None


async def read_bytes(request: Request, limit: int, kinds: Iterable[str] = JSON) -> bytes:
    """Raises UnsupportedMediaType, or PayloadTooLarge above `limit` bytes, before they are all read or decompressed."""
    kind = header(request, b"content-type") or ""
    if kind.partition(";")[0].strip().lower() not in kinds:
        raise UnsupportedMediaType(
            f"the content type is {shown(kind) if kind else 'missing'}: send application/json, as with curl's -H 'Content-Type: application/json'"
        )
    if int(header(request, b"content-length") or 0) > limit:
        raise _too_large(limit)
    here = gateway(request)
    memory = held(request.scope, here.bodies)
    longest, began = here.settings.api_body_s, time.monotonic()
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


async def read_object(request: Request, limit: int) -> dict[str, Any]:
    """A JSON object. Raises as `read_bytes`, and InvalidJSON or InvalidInput."""
    return parse_object(await read_bytes(request, limit))


async def read_submission(request: Request) -> dict[str, Any]:
    """The body of a job. If it is large, its inputs are `Large` and are parsed in another process. Raises the errors of `read_object`."""
    here = gateway(request)
    content = await read_bytes(request, here.settings.max_body_bytes)
    if len(content) <= here.offload.above_bytes:
        return parse_object(content)
    body = await here.offload.run(len(content), submission, content)
    if isinstance(body.get("inputs"), Large):
        body["inputs"] = replace(body["inputs"], content=content)
    return body


async def _decompress(body: bytes, encoding: str, limit: int, memory: Held) -> bytes:
    if encoding not in ("gzip", "deflate"):
        raise UnsupportedMediaType(f"the content encoding is {shown(encoding)}: send the body as it is, or compressed with gzip or deflate")
    # A kilobyte may become a megabyte: zlib lets other threads run meanwhile.
    small = len(body) <= _STEP
    found = _inflate(body, encoding, limit) if small else await asyncio.to_thread(_inflate, body, encoding, limit)
    memory.grow(len(body) + len(found))
    return found


def _inflate(body: bytes, encoding: str, limit: int) -> bytes:
    reader = zlib.decompressobj(_ANY_HEADER)
    try:
        # One byte more than allowed tells a body at the limit from one above it, however much would follow.
        found = reader.decompress(body, limit + 1)
    except zlib.error as error:
        raise InvalidInput(f"the body is not {encoding}, as its content encoding says: {error}", pointer="") from None
    if len(found) > limit:
        raise _too_large(limit)
    if not reader.eof or reader.unused_data:
        raise InvalidInput(f"the body is cut off, or more follows after the end of its {encoding} stream", pointer="")
    return found


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body is larger than {limit} bytes, the limit of this server: split the rows, or submit a batch")
