"""Plain routes without FastAPI's stack: its middlewares and its router cost twice what a prediction needs in this process.

FastAPI documents these routes, and answers everything else: its own pages and unknown paths. HEAD and OPTIONS are answered here for every path.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from re import Pattern
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from app.api.http.budget import release
from app.api.http.problems import method_not_allowed, problem
from app.api.server.plain_route import PlainRoute
from app.core.errors import CeleriacError

log = logging.getLogger(__name__)
Endpoint = Callable[[Request], Awaitable[Response]]


class Express:
    """An ASGI application in front of `app`. The first route that matches answers, as in a router."""

    def __init__(self, app: FastAPI, routers: Iterable[APIRouter]) -> None:
        self._app = app
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
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        found = self._find(method, path)
        if found is None and method == "HEAD":
            # The answer of GET without its body (RFC 9110, section 9.3.2).
            scope, send, found = {**scope, "method": "GET"}, _without_body(send), self._find("GET", path)
        if found is None:
            allowed = self._allowed(path)
            if allowed and (method == "OPTIONS" or scope["method"] not in allowed):
                await _elsewise(Request(scope, receive), allowed)(scope, receive, send)
            else:
                await self._app(scope, receive, send)
            return
        scope["app"] = self._app
        scope["route"], scope["path_params"] = found
        request = Request(scope, receive)
        try:
            response = await self._answer(request, found[0].endpoint)
        finally:
            release(scope)
        await response(scope, receive, send)

    def _find(self, method: str, path: str) -> tuple[PlainRoute, dict[str, Any]] | None:
        fixed = self._fixed.get((method, path))
        if fixed is not None:
            return fixed, {}
        for pattern, route in self._varying.get((method, path.count("/")), ()):
            if match := pattern.match(path):
                return route, match.groupdict()
        return None

    def _allowed(self, path: str) -> list[str]:
        """The methods that a path has. None for a path that does not exist."""
        methods = {method for method in self._methods if self._find(method, path)} | self._others.get(path, set())
        return sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())) if methods else []

    async def _answer(self, request: Request, endpoint: Endpoint) -> Response:
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
            return problem(request, CeleriacError("the server made a mistake; its log says which"))


def _elsewise(request: Request, allowed: list[str]) -> Response:
    """The answer to OPTIONS, or to a method that the path does not have."""
    if request.method == "OPTIONS":
        return Response(status_code=204, headers={"allow": ", ".join(allowed)})
    return method_not_allowed(request, allowed)


def _without_body(send: Send) -> Send:
    """Sends the head of an answer and ends it. A stream ends there, too."""
    ended = False

    async def sending(message: Message) -> None:
        nonlocal ended
        if message["type"] == "http.response.start":
            await send(message)
        elif not ended:
            ended = True
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return sending
