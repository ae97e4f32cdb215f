"""Bodies of responses have one definition each, in `app.api.schemas`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

API: Final = Path(__file__).parents[2] / "app" / "api"
FILES: Final = sorted([*(API / "routes").glob("*.py"), API / "http" / "job_responses.py", API / "schemas" / "serializers.py"])


def undefined(source: str) -> Iterator[str]:
    """Bodies of responses that no type describes."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "json_response":
            body = node.args[0]
            empty = isinstance(body, ast.Dict) and not body.keys
            if isinstance(body, ast.Dict | ast.BinOp | ast.DictComp) and not empty:
                yield f"line {node.lineno}: {ast.unparse(body)}"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.lstrip("_").startswith("present"):
            returned = ast.unparse(node.returns) if node.returns else "dict"
            if returned.startswith("dict"):
                yield f"line {node.lineno}: {node.name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_body_is_of_a_type_that_the_document_describes(path: Path) -> None:
    assert list(undefined(path.read_text())) == [], "make it of a TypedDict in app/api/schemas, which mypy checks and FastAPI documents"


@pytest.mark.parametrize(
    "source",
    [
        "json_response({'ready': True})",
        "json_response(present(job) | {'replay_of': id}, 202)",
        "def present(job) -> dict[str, Any]: return {}",
        "async def _present(job): return {}",
    ],
)
def test_the_rule_finds_bodies_without_a_type(source: str) -> None:
    assert list(undefined(source))


@pytest.mark.parametrize("source", ["json_response({})", "json_response(schemas.Live(live=True))", "def _present(job) -> schemas.Job: ..."])
def test_the_rule_permits_bodies_with_a_type(source: str) -> None:
    assert list(undefined(source)) == []
