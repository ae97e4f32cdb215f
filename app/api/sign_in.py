"""/console/sign-in: to the OpenID Connect provider and back. Browsers follow these addresses, and programs do not."""

from __future__ import annotations

import hmac
import logging
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from app import metrics
from app.api.container import container
from app.api.server import session_cookie
from app.api.server.console import SIGN_IN, SIGNED_IN
from app.core.errors import InvalidInput, InvalidToken, IssuerUnavailable, RoleMissing, shown
from app.core.sign_ins import LIFE_S, SignIn

if TYPE_CHECKING:
    from app.services.sign_ins import SignIns

log = logging.getLogger(__name__)
COOKIE: Final = "celeriac_sign_in"


def install(app: FastAPI) -> None:
    """Add the addresses to an application."""
    app.router.routes += [
        Route(SIGN_IN, start, include_in_schema=False),
        Route(SIGNED_IN, callback, include_in_schema=False),
    ]


async def start(request: Request) -> Response:
    """Lead the browser to the provider. The page says where it is, because a proxy may hide that from this server."""
    try:
        sign_in = SignIn.begin(request.query_params.get("console", ""), request.query_params.get("return_to", ""))
        target = await _sign_ins(request).url(sign_in)
    except (InvalidInput, IssuerUnavailable) as error:
        log.warning("A person could not start to sign in to the console: %s", error.detail)
        return _failed(error.code, "./")
    metrics.CONSOLE_SIGN_INS.labels("started").inc()
    response = _redirect(target)
    # The provider leads the browser back from another site, to which a browser sends no strict cookie.
    session_cookie.put(request, response, COOKIE, sign_in.to_cookie(), LIFE_S, secure=sign_in.secure, same_site="lax")
    return response


async def callback(request: Request) -> Response:
    """Complete the sign-in that the provider has led back, and start a session."""
    sent, sign_in = request.query_params, SignIn.from_cookie(request.cookies.get(COOKIE, ""))
    if sign_in is None:
        return _failed("expired")
    if "error" in sent:
        # Some providers send no state with an error.
        log.warning("The provider ended a sign-in with the error %s.", shown(sent["error"]))
        return _failed("denied")
    if not hmac.compare_digest(sent.get("state", "").encode(), sign_in.state.encode()):
        return _failed("state")
    try:
        identity = await _sign_ins(request).complete(sign_in, sent.get("code", ""))
    except (InvalidToken, RoleMissing, IssuerUnavailable) as error:
        log.warning("A person could not sign in to the console: %s", error.detail)
        return _failed(error.code)
    metrics.CONSOLE_SIGN_INS.labels("completed").inc()
    sessions, response = container(request).console_sessions, _redirect(f"../{sign_in.return_to}")
    token = await sessions.start_identity(identity)
    session_cookie.put(request, response, session_cookie.NAME, token, sessions.life_s, secure=sign_in.secure)
    session_cookie.put(request, response, COOKIE, "", 0, secure=sign_in.secure, same_site="lax")
    return response


def _sign_ins(request: Request) -> SignIns:
    sign_ins = container(request).sign_ins
    if sign_ins is None:
        raise IssuerUnavailable("No provider is configured.")
    return sign_ins


def _failed(reason: str, console: str = "../") -> Response:
    """Lead the browser to the page, which has a sentence for the reason."""
    metrics.CONSOLE_SIGN_INS.labels(reason).inc()
    return _redirect(f"{console}#/?sign_in={reason}")


def _redirect(target: str) -> Response:
    return RedirectResponse(target, 303, headers={"cache-control": "no-store"})
