"""/console: the files of the console. They are the same for everybody and need no key; every figure on the page comes from the API.

The addresses in them are relative, so that a proxy may serve them below a path of its own.
"""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from app.console.assets import INDEX, Asset, load
from app.core.sign_ins import CALLBACK

_ROOT: Final = "/console"
_STATIC: Final = f"{_ROOT}/static/"
SIGN_IN: Final = f"{_ROOT}/sign-in"
SIGNED_IN: Final = f"{_ROOT}/{CALLBACK}"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FOREVER: Final = "public, max-age=31536000, immutable"
_CHECKED: Final = "no-cache"


def serves(path: str) -> bool:
    """Return whether a path belongs to the files of the console."""
    return path in (_ROOT, f"{_ROOT}/", SIGN_IN, SIGNED_IN) or path.startswith(_STATIC)


def install(app: FastAPI, provider: str) -> None:
    """Add the console to an application.

    Args:
        app: The application.
        provider: Name of the issuer with which people sign in, or an empty text for keys only.
    """
    version, assets = load(provider=provider)

    async def redirect(request: Request) -> Response:
        return RedirectResponse("console/")

    async def index(request: Request) -> Response:
        return _response(request, assets[INDEX], _CHECKED)

    async def static(request: Request) -> Response:
        asset = assets.get(request.path_params["path"])
        if asset is None:
            raise HTTPException(404)
        # During an upgrade, the page of another version may ask this process: the browser must not keep what it gets.
        return _response(request, asset, _FOREVER if request.path_params["version"] == version else _CHECKED)

    app.router.routes += [
        Route(_ROOT, redirect, include_in_schema=False),
        Route(f"{_ROOT}/", index, include_in_schema=False),
        Route(f"{_STATIC}{{version}}/{{path:path}}", static, include_in_schema=False),
    ]


def _response(request: Request, asset: Asset, caching: str) -> Response:
    headers = {"cache-control": caching, "content-security-policy": POLICY, "etag": asset.etag, "vary": "accept-encoding"}
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    content = asset.content
    if asset.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        content, headers["content-encoding"] = asset.compressed, "gzip"
    return Response(content, headers=headers | {"content-type": asset.media_type})
