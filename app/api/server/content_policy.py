"""The security headers of responses that others make: Starlette, FastAPI and its pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from starlette.types import Message, Send

from app.core.security_headers import DATA


def with_policy(send: Send, more: Callable[[], Iterable[tuple[bytes, bytes]]] = tuple) -> Send:
    """Return a `send` that adds the headers for data to a response, except those that it has, and what `more` returns then."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            names = {name for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *(header for header in (*DATA, *more()) if header[0] not in names)]
        await send(message)

    return sending
