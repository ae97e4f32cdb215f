"""A route whose handler reads the request itself. FastAPI documents it and does nothing else.

FastAPI's validation of a body costs more than everything else that a prediction needs in this process.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

UNROUTED: Final = "celeriac.unrouted"
"""In the scope of a request that `FastRouter` found no route for, while authentication is on."""


class PlainRoute(APIRoute):
    """Calls the endpoint with the request alone. The endpoint returns a Starlette response."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the endpoint, for a request that `FastRouter` did not serve itself.

        FastAPI matches a few more paths, for example `/v1/jobs%0A`. They must not lead around the authentication.
        """
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint

        async def handler(request: Request) -> Response:
            if UNROUTED in request.scope:
                raise HTTPException(404)
            return await endpoint(request)

        return handler
