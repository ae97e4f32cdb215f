"""Requests that a page of another origin makes a browser send, while authentication is off.

CORS keeps the responses from such a page, but a browser sends a POST without a body all the same. So a page that somebody opens could
change a server that only their machine can reach. No browser adds a key, so with authentication there is nothing to check.

The rules are those of Go's `net/http.CrossOriginProtection`: browsers say where a request comes from, other clients say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.types import Scope

from app.core.errors import CrossOriginRefused, shown

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class CrossOrigin:
    """Refuses changes that a page of an origin outside `origins` asks for. `*` allows every origin."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)

    def check(self, scope: Scope) -> None:
        """Raise CrossOriginRefused if a page of another origin sent the request."""
        stranger = self.stranger(scope)
        if stranger is not None:
            raise CrossOriginRefused(
                f"A page of {stranger} may not change anything here. Name its origin in CELERIAC_CORS_ORIGINS, or turn on authentication."
            )

    def stranger(self, scope: Scope) -> str | None:
        """Return the origin of the page that may not send the request, or None."""
        if scope["method"] in _SAFE or b"*" in self._origins:
            return None
        site = origin = host = b""
        for name, value in scope["headers"]:
            if name == b"sec-fetch-site":
                site = value
            elif name == b"origin":
                origin = value
            elif name == b"host":
                host = value
        if site in (b"same-origin", b"none") or origin in self._origins:
            return None
        # Browsers send Sec-Fetch-Site to HTTPS and to loopback addresses only.
        if not site and (not origin or origin.partition(b"://")[2] == host):
            return None
        return shown(origin.decode("latin-1")) if origin else "another origin"
