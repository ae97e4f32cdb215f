"""Server-sent events: the one place that writes them.

The ID of an event is the revision of a record, so that a client continues any stream with `Last-Event-ID`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, Final

import orjson
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import StreamingResponse

from app.api.http import params

MEDIA_TYPE: Final = "text/event-stream"
COMMENT: Final = b": waiting\n\n"
"""Keeps a connection open on which nothing happens. Clients ignore it."""


def requested(request: Request) -> bool:
    """Return whether the caller asks for a stream. One that names JSON first accepts either, and gets JSON."""
    accepted = request.headers.get("accept", "")
    return MEDIA_TYPE in accepted.lower().partition("application/json")[0]


def last_event_id(request: Request) -> int:
    """Return the ID of the last event that the caller has received. Defaults to 0.

    Raises:
        InvalidInput: The header is not an integer.
    """
    return params.integer(request.headers.get("last-event-id") or "0", "last-event-id", 0, 1 << 53)


def event(id: int, name: str, data: Mapping[str, Any]) -> bytes:
    """Return one event. JSON contains no line breaks, so that its data is one line."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (id, name.encode(), orjson.dumps(data))


def stream(events: AsyncIterator[bytes], headers: Mapping[str, str] | None = None) -> StreamingResponse:
    """Return a response that sends events as they occur."""
    return StreamingResponse(_until_redis_fails(events), media_type=MEDIA_TYPE, headers=headers)


async def _until_redis_fails(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    # The status has been sent, so that an error cannot be reported. The client connects again with Last-Event-ID.
    with suppress(RedisError, OSError):
        async for chunk in events:
            yield chunk
