"""CORS: which pages of other origins may call the API from a browser (`cors_origins`).

Keys travel in header fields that scripts set, never in cookies. So responses never allow credentials, and `*` gives no page more than what
any other client has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.server.content_policy import with_policy

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_REQUEST_HEADERS: Final = (
    "authorization", "celeriac-owner", "content-digest", "content-encoding", "content-type", "idempotency-key", "inference-header-content-length",
    "last-event-id", "prefer", "range", "traceparent", "tracestate", "x-api-key", "x-request-id",
)  # fmt: skip
_RESPONSE_HEADERS: Final = (
    "allow", "celeriac-lane", "content-disposition", "content-range", "deprecation", "inference-header-content-length", "location",
    "preference-applied", "ratelimit", "ratelimit-policy", "retry-after", "sunset", "traceresponse", "www-authenticate",
    "x-request-id",
)  # fmt: skip


class Cors:
    """An ASGI application in front of `app`. It answers preflight requests of the allowed origins, which carry no key.

    Requests of other origins are served as if CORS was off: their responses have no CORS headers, so the browser keeps them from the page.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._origins = {origin.encode() for origin in origins}
        self._cors = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=_REQUEST_HEADERS,
            expose_headers=_RESPONSE_HEADERS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and self._allowed(scope):
            # The middleware answers preflight requests itself, and the application does not see them.
            await self._cors(scope, receive, with_policy(send))
        else:
            await self._app(scope, receive, send)

    def _allowed(self, scope: Scope) -> bool:
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        return len(origins) == 1 and (origins[0] in self._origins or b"*" in self._origins)
