"""A route whose handler reads the request itself: FastAPI documents it and stays out of its way.

FastAPI's own validation of a body costs more than everything else that a prediction needs in this process.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import lru_cache
from typing import Any

from fastapi import Depends
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from app.core.models import ModelRef


class PlainRoute(APIRoute):
    """The endpoint is called with the request alone and returns a Starlette response."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint


def documented(request: Callable[..., None], response: type[BaseModel] | Any, **options: Any) -> dict[str, Any]:
    """What OpenAPI says of a route: the parameters and the body of `request`, which is never called, and the answer."""
    return {"dependencies": [Depends(request)], "response_model": response, **options}


def named(request: Request) -> ModelRef:
    """The model that the path names. Raises InvalidInput."""
    name, version = request.path_params["name"], request.path_params.get("version")
    return _parsed(f"{name}@{version}" if version else name)


@lru_cache(1024)
def _parsed(text: str) -> ModelRef:
    return ModelRef.parse(text)
