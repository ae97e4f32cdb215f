"""Responses in JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from starlette.responses import Response


def json_response(body: Mapping[str, Any] | Sequence[Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a body of `app.api.schemas` as a response."""
    return Response(orjson.dumps(body), status, headers, "application/json")


def ends(items: Sequence[Mapping[str, Any]]) -> tuple[str | None, str | None]:
    """Return the IDs of the first and of the last item, between which OpenAI's SDK pages."""
    return (items[0]["id"], items[-1]["id"]) if items else (None, None)
