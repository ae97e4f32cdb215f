"""The response that sends a file or an object, or the part of it that a Range header requests."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from app.core.errors import FileNotFound
from app.store.batch_folders import Content

_MEDIA_TYPE: Final = "application/octet-stream"
_BLOCK: Final = 1 << 20
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


async def download(request: Request, content: Content, filename: str) -> Response:
    """Send content as a file of this name. Raises FileNotFound if it was deleted meanwhile."""
    if isinstance(content, Path):
        return FileResponse(content, media_type=_MEDIA_TYPE, filename=filename)
    try:
        file = await asyncio.to_thread(content.open, "rb")
    except FileNotFoundError:
        raise FileNotFound(f"{filename} was deleted.") from None
    size = file.seek(0, 2)
    # It announces ranges, and encodes the name.
    headers = dict(FileResponse("", media_type=_MEDIA_TYPE, filename=filename).headers)
    first, last = _range(request.headers.get("range", ""), size)
    if first > last and size:
        file.close()
        return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
    headers["content-length"] = str(last - first + 1)
    status = 200
    if (first, last) != (0, size - 1):
        status, headers["content-range"] = 206, f"bytes {first}-{last}/{size}"
    return StreamingResponse(_blocks(file, first, last + 1), status, headers)


def _range(header: str, size: int) -> tuple[int, int]:
    """Return the first and the last byte to send. Several ranges, and what is not one, mean all of them (RFC 9110, section 14.2)."""
    match = _RANGE.fullmatch(header.replace(" ", ""))
    if match is None or match[0] == "bytes=-":
        return 0, size - 1
    start, end = match.groups()
    if not start:
        return max(0, size - int(end)), size - 1
    last = min(int(end), size - 1) if end else size - 1
    return (0, size - 1) if end and int(end) < int(start) else (int(start), last)


async def _blocks(file: IO[bytes], first: int, end: int) -> AsyncIterator[bytes]:
    with file:
        file.seek(first)
        while (left := end - file.tell()) > 0:
            block = await asyncio.to_thread(file.read, min(left, _BLOCK))
            if not block:
                break
            yield block
