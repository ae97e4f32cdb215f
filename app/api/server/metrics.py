"""Counts and times every request, by the template of its route and its status."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import metrics

_PROBES: Final = ("/livez", "/readyz", "/ping", "/metrics")
_CLOSE: Final = (b"connection", b"close")


class MetricsMiddleware:
    """An ASGI middleware. A stream counts until its end.

    Attributes:
        leaving: Whether the process is about to stop. Every response is then the last one of its connection.
        last_request_at: Monotonic time of the last request since it is leaving, probes excluded.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.leaving = False
        self.last_request_at = 0.0
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self.leaving and scope["path"] not in _PROBES:
            self.last_request_at = time.monotonic()
        status, began = 500, time.perf_counter()

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self.leaving:
                    message["headers"] = [*message.get("headers", ()), _CLOSE]
            await send(message)

        try:
            await self._app(scope, receive, observed)
        finally:
            # Paths and methods that a caller makes up would be labels without end.
            route = getattr(scope.get("route"), "path", "other")
            observe("any" if route == "other" else scope["method"], route, status, time.perf_counter() - began)


def observe(method: str, route: str, status: int, seconds: float) -> None:
    """Count and time a request by the path of its route."""
    count, time_ = _children(method, route, status)
    count()
    time_(seconds)


@cache
def _children(method: str, route: str, status: int) -> tuple[Callable[[], None], Callable[[float], None]]:
    return metrics.HTTP_REQUESTS.labels(method, route, str(status)).inc, metrics.HTTP_SECONDS.labels(method, route).observe
