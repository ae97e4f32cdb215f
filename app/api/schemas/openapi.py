"""What OpenAPI says of a route."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import Depends
from pydantic import BaseModel


def documented(request: Callable[..., None], response: type[BaseModel] | Any, **options: Any) -> dict[str, Any]:
    """Return the options of a route that document it.

    Args:
        request: A function whose parameters are the parameters and the body of the request. It is never called.
        response: The body of the response.
        **options: Further options of the route.
    """
    return {"dependencies": [Depends(request)], "response_model": response, **options}
