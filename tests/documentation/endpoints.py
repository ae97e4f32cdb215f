"""The tables of docs/reference/http-api.md: every endpoint, header and parameter, as the OpenAPI document describes them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import httpx

from app.api.app import create

_METHODS: Final = ("get", "post", "put", "patch", "delete")
_ERRORS: Final = ("4XX", "5XX")
"""Responses that every endpoint has. The page describes them once."""
Row = tuple[str, str, str]


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document, as the API serves it."""

    async def fetch() -> dict[str, Any]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(create()), base_url="http://api") as client:
            response = await client.get("/openapi.json")
            return dict(response.raise_for_status().json())

    return asyncio.run(fetch())


def groups() -> dict[str, list[Row]]:
    """Return the rows of each tag, in the order in which the document names the tags first.

    Endpoints that differ in nothing but their path share their rows.
    """
    endpoints: dict[str, dict[tuple[Row, ...], list[str]]] = {}
    for path, operations in document()["paths"].items():
        for method in _METHODS:
            if method in operations:
                operation = operations[method]
                same = endpoints.setdefault(operation["tags"][0], {})
                same.setdefault(tuple(_rows(operation)), []).append(f"`{method.upper()} {path}`")
    return {
        tag: [row for (first, *rest), names in same.items() for row in ((", ".join(reversed(names)), *first[1:]), *rest)]
        for tag, same in endpoints.items()
    }


def described(tag: str) -> str:
    """Return the description of a tag, or an empty string."""
    return next((str(known["description"]) for known in document()["tags"] if known["name"] == tag), "")


def _rows(operation: dict[str, Any]) -> Iterator[Row]:
    yield "", "", " ".join(f"{operation['summary']} {operation.get('description', '')}".split())
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "header":
            yield "", f"header `{field_name(parameter['name'])}`", parameter["description"]
        elif parameter["in"] == "query":
            yield "", f"`?{parameter['name']}`", parameter["description"]
    bodies: dict[str, list[str]] = {}
    for media_type, body in operation.get("requestBody", {}).get("content", {}).items():
        bodies.setdefault(_body(body["schema"]), []).append(f"`{media_type}`")
    for text, media_types in bodies.items():
        yield "", f"body {', '.join(media_types)}", text
    for status in sorted(operation["responses"].keys() - set(_ERRORS)):
        yield "", status, _response(operation["responses"][status])


def field_name(name: str) -> str:
    """Return the name of a header field as RFCs spell it: `Last-Event-ID`, not `last-event-id`."""
    return "-".join(word.upper() if word.lower() == "id" else word.capitalize() for word in name.split("-"))


def _body(schema: dict[str, Any]) -> str:
    if schema.get("format") == "binary":
        return "The bytes of the file or of the tensors."
    if "properties" in schema:
        return f"A form with the fields {', '.join(f'`{name}`' for name in schema['properties'])}."
    names = [choice.get("$ref", "").rpartition("/")[2] for choice in (schema, *schema.get("anyOf", ()), *schema.get("oneOf", ()))]
    return " or ".join(f"`{name}`" for name in names if name) or "An object."


def _response(response: dict[str, Any]) -> str:
    names = [f"`{field_name(name)}`" for name in response.get("headers", {})]
    return f"{response['description']} Headers: {', '.join(names)}." if names else str(response["description"])
