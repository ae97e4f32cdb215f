"""Routes requests past FastAPI's middlewares and router, which cost twice what a prediction needs in this process.

FastAPI documents these routes and serves everything else: its own pages and unknown paths. HEAD and OPTIONS are handled here for
every path.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from re import Pattern
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from app.api.http.budget import release
from app.api.http.problems import method_not_allowed, problem
from app.api.server import auditing, console, documentation, tracing
from app.api.server.access_control import AccessControl
from app.api.server.content_policy import with_policy
from app.api.server.cross_origin import CrossOrigin
from app.api.server.operations import AUDITED
from app.api.server.plain_route import UNROUTED, PlainRoute
from app.core import traces
from app.core.errors import CeleriacError
from app.core.security_headers import DATA
from app.core.traces import RequestContext, Sampling

log = logging.getLogger(__name__)
_ADMITTED: Final = Response()
Endpoint = Callable[[Request], Awaitable[Response]]


class FastRouter:
    """An ASGI application in front of `app`. The first route that matches a request serves it.

    Attributes:
        access_control: Authenticates requests, or None while authentication is off. Then `cross_origin` checks them.
        sampling: Which traces this server exports, or None if it exports none.
    """

    def __init__(
        self, app: FastAPI, routers: Iterable[APIRouter], cross_origin: CrossOrigin, aliases: Mapping[str, str] | None = None
    ) -> None:
        """`aliases` maps further paths to those of the routes that serve them."""
        self.access_control: AccessControl | None = None
        self.sampling: Sampling | None = None
        self._cross_origin = cross_origin
        self._app = app
        self._aliases = aliases or {}
        self._fixed: dict[tuple[str, str], PlainRoute] = {}
        self._varying: defaultdict[tuple[str, int], list[tuple[Pattern[str], PlainRoute]]] = defaultdict(list)
        for route in (route for router in routers for route in router.routes if isinstance(route, PlainRoute)):
            for method in route.methods or ():
                if route.param_convertors:
                    self._varying[method, route.path.count("/")].append((route.path_regex, route))
                else:
                    self._fixed[method, route.path] = route
        self._methods = {method for method, _ in (*self._fixed, *self._varying)}
        self._others = {
            route.path: set(route.methods or ()) for route in app.routes if isinstance(route, Route) and not route.param_convertors
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = tracing.received(scope["headers"], self.sampling)
        token = traces.REQUEST.set(context)
        try:
            await self._serve(context, scope, receive, send)
        finally:
            traces.REQUEST.reset(token)

    async def _serve(self, context: RequestContext, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in self._aliases:
            scope["path"] = self._aliases[scope["path"]]
        method, path = scope["method"], scope["path"]
        match = self._find(method, path)
        if match is None and method == "HEAD":
            # The response to GET without its body (RFC 9110, section 9.3.2).
            scope, send, match = {**scope, "method": "GET"}, _without_body(send), self._find("GET", path)
        if match is None:
            allowed = self._allowed(path)
            # A preflight request carries no key, and its response says no more than the documentation.
            if (
                self.access_control is not None
                and not (allowed and method == "OPTIONS")
                and not (documentation.serves(path) or console.serves(path))
            ):
                scope["app"] = self._app
                refusal = await self._refusal(self.access_control, Request(scope, receive))
                if refusal is not None:
                    refusal.raw_headers.extend((*DATA, *tracing.answered(context)))
                    await refusal(scope, receive, send)
                    return
            if self.access_control is not None:
                scope[UNROUTED] = True
            send = with_policy(send, partial(tracing.answered, context))
            if allowed and (method == "OPTIONS" or scope["method"] not in allowed):
                await _without_route(Request(scope, receive), allowed)(scope, receive, send)
            else:
                await self._app(scope, receive, send)
            return
        scope["app"] = self._app
        scope["route"], scope["path_params"] = match
        request = Request(scope, receive)
        try:
            if self.access_control is not None:
                endpoint: Endpoint = partial(self.access_control.serve, route=match[0])
            else:
                endpoint = partial(self._serve_anyone, route=match[0])
            response = await self._call(request, endpoint)
        finally:
            release(scope)
        response.raw_headers.extend((*DATA, *tracing.answered(context)))
        await response(scope, receive, send)

    async def _serve_anyone(self, request: Request, route: PlainRoute) -> Response:
        """Call the endpoint of a route while authentication is off."""
        self._cross_origin.check(request.scope)
        if route.unique_id in AUDITED:
            return await auditing.serve(request, route)
        return await route.endpoint(request)  # type: ignore[no-any-return]

    def _find(self, method: str, path: str) -> tuple[PlainRoute, dict[str, Any]] | None:
        fixed = self._fixed.get((method, path))
        if fixed is not None:
            return fixed, {}
        for pattern, route in self._varying.get((method, path.count("/")), ()):
            if match := pattern.match(path):
                return route, match.groupdict()
        return None

    def _allowed(self, path: str) -> list[str]:
        """Return the methods of a path; none for a path that does not exist."""
        methods = {method for method in self._methods if self._find(method, path)} | self._others.get(path, set())
        return sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())) if methods else []

    async def _refusal(self, access_control: AccessControl, request: Request) -> Response | None:
        """Return why a caller must not learn whether a path exists, or None."""

        async def admit(request: Request) -> Response:
            await access_control.admit(request.scope)
            return _ADMITTED

        response = await self._call(request, admit)
        return None if response is _ADMITTED else response

    async def _call(self, request: Request, endpoint: Endpoint) -> Response:
        try:
            return await endpoint(request)
        except CeleriacError as error:
            return problem(request, error)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:
            for kind in type(error).__mro__:
                if kind in self._app.exception_handlers and kind is not Exception:
                    handler: Any = self._app.exception_handlers[kind]
                    response: Response = await handler(request, error)
                    return response
            log.exception("%s %s", request.method, request.url.path)
            return problem(request, CeleriacError("Internal server error. See the server log."))


def _without_route(request: Request, allowed: list[str]) -> Response:
    """Return the response to OPTIONS, or to a method that the path does not have."""
    if request.method == "OPTIONS":
        return Response(status_code=204, headers={"allow": ", ".join(allowed)})
    return method_not_allowed(request, allowed)


def _without_body(send: Send) -> Send:
    """Return a `send` that passes on the head of a response and ends it. A stream ends there, too."""
    ended = False

    async def sending(message: Message) -> None:
        nonlocal ended
        if message["type"] == "http.response.start":
            await send(message)
        elif not ended:
            ended = True
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return sending
