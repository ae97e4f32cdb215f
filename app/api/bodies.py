"""Reading a request's body: bounded, of the right type, decompressed, and JSON."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any, Final

import orjson
from starlette.requests import Request

from app.core.errors import InvalidInput, InvalidJSON, PayloadTooLarge, UnsupportedMediaType
from app.core.fields import DEEPEST, TOO_DEEP, not_json, too_deep
from app.core.fields import known as known

JSON: Final = ("application/json",)
# Accepts the headers of gzip and of zlib alike; clients mean either when they say deflate.
_ANY_HEADER: Final = 32 + zlib.MAX_WBITS


def header(request: Request, name: bytes) -> str | None:
    """The first header of that name, in small letters. Starlette's own answer to one that is missing takes an exception."""
    for key, value in request.scope["headers"]:
        if key == name:
            found: bytes = value
            return found.decode("latin-1")
    return None


async def read_bytes(request: Request, limit: int, kinds: Iterable[str] = JSON) -> bytes:
    """Raises UnsupportedMediaType, or PayloadTooLarge above `limit` bytes, before they are all read or decompressed."""
    kind = header(request, b"content-type") or ""
    if kind.partition(";")[0].strip().lower() not in kinds:
        raise UnsupportedMediaType(
            f"the content type is {kind or 'missing'}: send application/json, as with curl's -H 'Content-Type: application/json'"
        )
    if int(header(request, b"content-length") or 0) > limit:
        raise _too_large(limit)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    body = b"".join(chunks)
    encoding = (header(request, b"content-encoding") or "identity").strip().lower()
    return body if encoding == "identity" else _decompress(body, encoding, limit)


async def read_object(request: Request, limit: int) -> dict[str, Any]:
    """A JSON object. Raises as `read_bytes`, and InvalidJSON or InvalidInput."""
    return parse_object(await read_bytes(request, limit))


def parse_object(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidJSON(f"the body is {not_json(body, error)}") from None
    if not isinstance(found, dict):
        raise InvalidInput(f"the body must be an object, not {type(found).__name__}", pointer="")
    # Few brackets cannot be many levels, and most bodies have few: those need no look.
    if body.count(b"[") + body.count(b"{") > DEEPEST and too_deep(found):
        raise InvalidInput(TOO_DEEP, pointer="")
    return found


def _decompress(body: bytes, encoding: str, limit: int) -> bytes:
    if encoding not in ("gzip", "deflate"):
        raise UnsupportedMediaType(f"the content encoding is {encoding!r}: send the body as it is, or compressed with gzip or deflate")
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
