"""Counts and times every request, by the route's template and the status; sends callers elsewhere when the process is about to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import metrics

_PROBES: Final = ("/livez", "/readyz", "/metrics")
_CLOSE: Final = (b"connection", b"close")


class Traffic:
    """An ASGI middleware. A stream counts until its end. Once it is `leaving`, every answer is the last of its connection."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.leaving = False
        self.asked_at = 0.0
        """The monotonic time of the last request since it is leaving, probes aside."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self.leaving and scope["path"] not in _PROBES:
            self.asked_at = time.monotonic()
        status, began = 500, time.perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self.leaving:
                    message["headers"] = [*message.get("headers", ()), _CLOSE]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            # Paths and methods that a caller makes up would be labels without end.
            route = getattr(scope.get("route"), "path", "other")
            count, observe = _children("any" if route == "other" else scope["method"], route, status)
            count()
            observe(time.perf_counter() - began)


@cache
def _children(method: str, route: str, status: int) -> tuple[Callable[[], None], Callable[[float], None]]:
    return metrics.HTTP_REQUESTS.labels(method, route, str(status)).inc, metrics.HTTP_SECONDS.labels(method, route).observe
