"""Plain routes without FastAPI's stack: its middlewares and its router cost twice what a prediction needs in this process.

FastAPI documents these routes, and answers everything else: its own pages, unknown paths, methods that a path has not.
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
from starlette.types import Receive, Scope, Send

from app.api.problems import problem
from app.api.routes import PlainRoute
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._find(scope) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        scope["app"] = self._app
        scope["route"], scope["path_params"] = found
        request = Request(scope, receive)
        response = await self._answer(request, found[0].endpoint)
        await response(scope, receive, send)

    def _find(self, scope: Scope) -> tuple[PlainRoute, dict[str, Any]] | None:
        method, path = scope["method"], scope["path"]
        fixed = self._fixed.get((method, path))
        if fixed is not None:
            return fixed, {}
        for pattern, route in self._varying.get((method, path.count("/")), ()):
            if match := pattern.match(path):
                return route, match.groupdict()
        return None

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
