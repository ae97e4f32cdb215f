"""Error messages are sentences: they begin with a capital letter, or with what was given, and end with a period.

Looked at are the texts that code passes to the errors of the server, the command line and the client.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from typing import Final

import pytest
from celeriac import _errors
from celeriac_cli.errors import CLIError

from app.core.errors import every_error
from tests.documentation.tables import ROOT

CLASSES: Final = {
    *(kind.__name__ for kind in every_error().values()),
    *(name for name, kind in vars(_errors).items() if isinstance(kind, type) and issubclass(kind, Exception)),
    CLIError.__name__,
}
FIELDS: Final = (
    "b64", "body", "datatype", "decimal", "delimiter", "each", "header", "inputs", "load", "method", "models", "name", "output", "parameters",
    "predict", "prune", "quote", "sha256", "shape", "steps", "stream", "when",
)  # fmt: skip
"""Fields, functions and programs that a message may begin with, as users write them. Those with an underscore need no entry."""
PROGRAMS: Final = ("redis-server",)
GIVEN: Final = "\0"
"""Replaces a formatted value in a text."""


@cache
def messages() -> list[tuple[str, str]]:
    """The place and text of every message in the code."""
    paths = [path for folder in ("app", "client") for path in (ROOT / folder).rglob("*.py") if "_sync" not in path.parts]
    return [(f"{path.relative_to(ROOT)}:{line}", text) for path in sorted(paths) for line, text in literals(ast.parse(path.read_text()))]


def literals(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The texts that the code passes to errors, also by the name of a variable, with the lines in which they begin."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(name) | ast.Attribute(attr=name), args=[message, *_]) if name in CLASSES:
                yield from texts(message)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from assigned(node)


def assigned(function: ast.AST) -> Iterator[tuple[int, str]]:
    """The texts of variables that a function passes to errors."""
    nodes = list(ast.walk(function))
    passed = set()
    for node in nodes:
        match node:
            case ast.Call(func=ast.Name(name) | ast.Attribute(attr=name), args=[ast.Name(variable), *_]) if name in CLASSES:
                passed.add(variable)
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(name)], value=value) if name in passed:
                yield from texts(value)


def texts(value: ast.expr) -> Iterator[tuple[int, str]]:
    match value:
        case ast.Constant(str(text)):
            yield value.lineno, text
        case ast.JoinedStr(values):
            yield value.lineno, "".join(part(item) for item in values)
        case ast.IfExp(body=body, orelse=orelse):
            yield from texts(body)
            yield from texts(orelse)


def part(value: ast.expr) -> str:
    """A part of a text. A value in quotes is a value, and any other may be a sentence of its own."""
    if isinstance(value, ast.Constant):
        return str(value.value)
    return "'…'" if isinstance(value, ast.FormattedValue) and value.conversion == ord("r") else GIVEN


def is_sentence(text: str) -> bool:
    first = re.match(r"[\w-]*", text.split(GIVEN)[0])
    word = first[0] if first else ""
    begins = not word[:1].islower() or "_" in word or word in (*FIELDS, *PROGRAMS)
    return begins and text.endswith((".", "?", "…", GIVEN))


def test_messages_are_recognized() -> None:
    assert len(messages()) > 400
    texts = {text for _, text in messages()}
    assert "'…' is not a string. Put it in quotes." in texts


def test_every_message_is_a_sentence() -> None:
    wrong = [f"{place}: {text.replace(GIVEN, '{}')}" for place, text in messages() if not is_sentence(text)]
    assert not wrong, "Begin with a capital letter or a field, and end with a period:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("The data must be a list.", True),
        ("the data must be a list.", False),
        ("The data must be a list", False),
        ("timeout_s must be a number.", True),
        ("steps must name at least one step.", True),
        (f"{GIVEN} cannot be read: {GIVEN}", True),
        ("The step '…'", False),
    ],
)
def test_sentences_are_recognized(text: str, *, sentence: bool) -> None:
    assert is_sentence(text) is sentence
