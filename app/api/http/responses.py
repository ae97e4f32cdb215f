"""Responses in JSON."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a body of JSON types as a response."""
    return Response(orjson.dumps(body), status, headers, "application/json")


def openai_page(items: list[dict[str, Any]], more: bool) -> dict[str, Any]:
    """Return a page of a list in the form that OpenAI's SDK reads."""
    ids = [item["id"] for item in items] or [None]
    return {"object": "list", "data": items, "first_id": ids[0], "last_id": ids[-1], "has_more": more}
