"""Headers of a request."""

from __future__ import annotations

from starlette.requests import Request


def header(request: Request, name: bytes) -> str | None:
    """Return the first header of that name, which must be in lower case. Starlette raises and catches an error for a missing one."""
    for key, value in request.scope["headers"]:
        if key == name:
            content: bytes = value
            return content.decode("latin-1")
    return None
