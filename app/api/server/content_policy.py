"""The `Content-Security-Policy` of responses that others make: Starlette, FastAPI and its pages."""

from __future__ import annotations

from starlette.types import Message, Send

from app.core.security_headers import POLICY


def with_policy(send: Send) -> Send:
    """Return a `send` that adds the policy for data to a response which has no policy of its own."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and all(name != POLICY[0] for name, _ in message["headers"]):
            message["headers"] = [*message["headers"], POLICY]
        await send(message)

    return sending
