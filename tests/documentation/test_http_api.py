"""docs/reference/http-api.md names every route and every header of the API."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from fastapi import APIRouter

from app.api import routes
from tests.documentation.endpoints import document
from tests.documentation.tables import DOCS, ROOT

PAGE: Final = "reference/http-api.md"
ONE_WORD: Final = (
    "accept", "age", "allow", "authorization", "connection", "cookie", "deprecation", "etag", "expect", "location", "prefer", "range",
    "sunset", "trailer", "upgrade", "vary",
)  # fmt: skip
"""Header fields without a hyphen, which a text may be for other reasons."""
NO_FIELDS: Final = {
    "respond-async": "a preference",
    "no-store": "a cache directive",
    "api-keys": "a background loop",
    "same-origin": "a value of Sec-Fetch-Site",
}


def routers() -> Iterator[APIRouter]:
    for module in pkgutil.iter_modules(routes.__path__):
        yield importlib.import_module(f"{routes.__name__}.{module.name}").router


def fields(code: str) -> set[str]:
    """The header fields that code names: in lower case, as ASGI has them."""
    texts = {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)}
    names = {text.decode("latin-1") if isinstance(text, bytes) else text for text in texts}
    return {name for name in names if name in ONE_WORD or (re.fullmatch(r"[a-z]+(-[a-z]+)+", name) and name not in NO_FIELDS)}


def test_every_route_is_in_the_document() -> None:
    served = {
        f"{method} {getattr(route, 'path', '')}"
        for router in routers()
        for route in router.routes
        for method in getattr(route, "methods", ())
    }
    documented = {f"{method.upper()} {path}" for path, operations in document()["paths"].items() for method in operations}
    assert len(documented) > 60
    assert served == documented


def test_every_endpoint_has_a_line() -> None:
    page = (DOCS / PAGE).read_text()
    missing = [
        f"{method.upper()} {path}"
        for path, operations in document()["paths"].items()
        for method in operations
        if f"`{method.upper()} {path}`" not in page
    ]
    assert not missing, f"Run scripts/docs: docs/{PAGE} does not list {missing}."


def test_every_header_has_a_line() -> None:
    page = (DOCS / PAGE).read_text().lower()
    code = {path: path.read_text() for path in sorted((ROOT / "app/api").rglob("*.py")) if "schemas" not in path.parts}
    missing = [f"{path.relative_to(ROOT)}: {name}" for path, text in code.items() for name in fields(text) if f"`{name}" not in page]
    assert not missing, f"Describe these headers in docs/{PAGE}:\n" + "\n".join(missing)


@pytest.mark.parametrize("module", ["http/preferences", "http/sse", "routes/batches", "http/problems"])
def test_headers_are_recognized(module: str) -> None:
    named = {
        "http/preferences": {"prefer", "preference-applied"},
        "http/sse": {"accept", "last-event-id"},
        "routes/batches": {"celeriac-owner", "location"},
        "http/problems": {"retry-after", "allow"},
    }
    assert named[module] <= fields((Path(ROOT) / f"app/api/{module}.py").read_text())
