"""Only `app.patches` touches private names of libraries, or extends classes that are not made to be extended."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

APP: Final = Path(__file__).parents[2] / "app"
LIBRARIES: Final = {"celery", "kombu", "billiard", "redis", "redbeat", "uvicorn", "starlette", "fastapi", "httptools", "flower", "tornado"}
EXTENSION_POINTS: Final = {
    "celery.bootsteps.StartStopStep",  # https://docs.celeryq.dev/en/stable/userguide/extending.html
    "fastapi.routing.APIRoute",  # https://fastapi.tiangolo.com/how-to/custom-request-and-route/
}
"""Classes that their library documents as made to be extended."""
ALLOWED: Final = {
    "os._exit",  # the documented way to end a forked process
    "get_scorer(name)._score_func",  # scikit-learn's name, not one of the libraries above: no public one leads to the function
}
"""Private names outside of `app.patches`, as they are written."""


def defined(source: str) -> set[str]:
    """The names that a module defines: functions, classes, attributes and variables."""
    nodes = list(ast.walk(ast.parse(source)))
    names = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    names |= {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    return names | {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def offences(source: str) -> Iterator[str]:
    """Private names that the module does not define itself, and classes that extend a library's."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    own = defined(source)
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    imported |= {
        alias.asname or alias.name.split(".")[0]: alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names
    }
    bases = {imported.get(ast.unparse(base), "") for node in nodes if isinstance(node, ast.ClassDef) for base in node.bases}
    for base in bases:
        # A class may use what its base in another of our modules defines.
        if base.startswith("app."):
            own |= defined(APP.parent.joinpath(*base.split(".")[:-1]).with_suffix(".py").read_text())
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__") and node.attr not in own:
            if (name := ast.unparse(node)) not in ALLOWED:
                yield f"line {node.lineno}: {name}"
        elif isinstance(node, ast.ClassDef):
            for base in map(ast.unparse, node.bases):
                root, _, rest = base.partition(".")
                full = ".".join(filter(None, (imported.get(root, ""), rest)))
                if full.split(".")[0] in LIBRARIES and full not in EXTENSION_POINTS:
                    yield f"line {node.lineno}: class {node.name}({full})"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in LIBRARIES:
            for name in (*(node.module or "").split("."), *(alias.name for alias in node.names)):
                if name.startswith("_"):
                    yield f"line {node.lineno}: from {node.module} import {name}"


@pytest.mark.slow
def test_private_names_stay_in_patches() -> None:
    modules = [path for path in sorted(APP.rglob("*.py")) if path.parent.name != "patches"]
    assert len(modules) > 200
    found = [f"{path.relative_to(APP)} {offence}" for path in modules for offence in offences(path.read_text())]
    assert found == [], "move this to app/patches, or use a public name"


@pytest.mark.parametrize(
    "source",
    [
        "def f(worker):\n    return worker.pool._pool",
        "from kombu.transport import redis\nclass C(redis.Channel): pass",
        "from celery.worker.request import Request\nclass R(Request): pass",
        "import uvicorn.supervisors\nclass M(uvicorn.supervisors.Multiprocess): pass",
        "from celery.app._state import connect",
        "from fastapi.routing import APIRoute\nclass R(APIRoute):\n    def f(self): return self._embed_body_fields",
    ],
)
def test_the_rule_finds_what_it_forbids(source: str) -> None:
    assert list(offences(source))


@pytest.mark.parametrize(
    "source",
    [
        "class A:\n    def __init__(self):\n        self._x = 1\n    def y(self):\n        return self._x",
        "from celery import bootsteps\nclass S(bootsteps.StartStopStep): pass",
    ],
)
def test_the_rule_permits_names_of_the_module_and_extension_points(source: str) -> None:
    assert list(offences(source)) == []
