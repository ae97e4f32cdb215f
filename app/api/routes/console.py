"""/console/session: sign in to the console with an API key, and sign out."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from app import __version__
from app.api.container import Container, container
from app.api.http.responses import json_response
from app.api.schemas import console as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server import session_cookie
from app.api.server.access_control import key_of
from app.api.server.plain_route import PlainRoute
from app.core.api_keys import CallerType
from app.core.callers import CALLER
from app.core.errors import CredentialsMissing, KeyConflict

router = APIRouter(prefix="/console/session", tags=["console"], route_class=PlainRoute, responses=PROBLEMS)


@router.get("", **schemas.READ)
async def read(request: Request) -> Response:
    """Returns the key of the caller and its scopes, or that authentication is off."""
    return json_response(_present(container(request)))


@router.post("", **schemas.START)
async def start(request: Request) -> Response:
    """Starts a session of the key that the request carries. The browser gets a cookie and forgets the key.

    The cookie counts only in requests with the header `Celeriac-Console`. Disabling, deleting or rotating the key ends the session.
    """
    root, caller = container(request), CALLER.get()
    if caller is None:
        raise KeyConflict("Authentication is off, so that the console needs no session. Set CELERIAC_AUTH=keys to demand keys.")
    if caller.type is not CallerType.KEY:
        raise KeyConflict("The console starts sessions for API keys only. Send an API key instead of an identity token.")
    key = key_of(request.scope)
    if key is None:
        raise CredentialsMissing("A session starts with an API key. Send `Authorization: Bearer cel_…`.")
    response = json_response(_present(root), 201)
    session_cookie.store(request, response, await root.console_sessions.start(key), root.console_sessions.life_s)
    return response


@router.delete("", **schemas.END)
async def end(request: Request) -> Response:
    """Ends the session of the browser that asks."""
    caller, token = CALLER.get(), session_cookie.token(request.scope)
    if caller is not None and token is not None:
        await container(request).console_sessions.end(token, caller.id)
    response = Response(status_code=204)
    session_cookie.remove(request, response)
    return response


def _present(root: Container) -> schemas.Session:
    caller = CALLER.get()
    key: schemas.SessionKey | None = None
    if caller is not None:
        key = {"id": caller.id, "name": caller.name, "owner": caller.owner, "scopes": sorted(caller.scopes)}
    settings = root.settings
    return {"authentication": settings.auth, "key": key, "trace_url": settings.trace_url, "version": __version__}
