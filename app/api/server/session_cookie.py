"""The cookie of a browser that signed in to the console.

A browser adds a cookie to every request, also to those that a foreign page makes it send. So the cookie counts only together with a header
that only a script of the same origin can set, and changes must come from a page of the same origin. `SameSite=Strict` says so, too.
"""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from typing import Final, Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from app.api.server.cross_origin import CrossOrigin
from app.core.errors import CrossOriginRefused

NAME: Final = "celeriac_console"
_HEADER: Final = b"celeriac-console"
_SAME_ORIGIN: Final = CrossOrigin(())


def token(scope: Scope) -> str | None:
    """Return the token of the session that a request uses, or None.

    Raises:
        CrossOriginRefused: A page of another origin sent the request.
    """
    cookies, marked = b"", False
    for name, value in scope["headers"]:
        if name == b"cookie":
            cookies += value + b";"
        elif name == _HEADER:
            marked = True
    if not marked or NAME.encode() not in cookies:
        return None
    stranger = _SAME_ORIGIN.stranger(scope)
    if stranger is not None:
        raise CrossOriginRefused(f"A page of {stranger} may not use the session of the console. Send an API key.")
    try:
        cookie = SimpleCookie(cookies.decode("latin-1")).get(NAME)
    except CookieError:
        return None
    return cookie.value if cookie else None


def store(request: Request, response: Response, text: str, life_s: int) -> None:
    """Let the browser keep the token of a session."""
    # A proxy that ends TLS may not say so, but the browser names its origin.
    secure = request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")
    put(request, response, NAME, text, life_s, secure=secure)


def remove(request: Request, response: Response) -> None:
    """Let the browser forget its session."""
    store(request, response, "", 0)


def put(
    request: Request,
    response: Response,
    name: str,
    text: str,
    life_s: int,
    *,
    secure: bool,
    same_site: Literal["strict", "lax"] = "strict",
) -> None:
    """Let the browser keep a cookie of the console, which no script can read."""
    path = f"{request.scope.get('root_path', '').rstrip('/')}/"
    response.set_cookie(name, text, max_age=life_s, path=path, secure=secure, httponly=True, samesite=same_site)
