"""docs/reference/errors.md lists every code that a user can meet."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from celeriac_cli.errors import Exit

from app.core.errors import every_error
from tests.documentation.tables import DOCS, ROOT, occasions

PAGE: Final = DOCS / "reference" / "errors.md"


def listed() -> set[str]:
    """The codes in the first columns of the page's tables."""
    rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    return {code for cell in rows for code in re.findall(r"`(\w+)`", cell)}


def connection_codes() -> Iterator[str]:
    """The codes of errors that the connection ends with: the title in lower case."""
    for call in calls(ROOT / "app/patches/uvicorn_protocol.py", "Refusal"):
        yield str(ast.literal_eval(call.args[1])).lower().replace(" ", "_")


def line_codes() -> Iterator[str]:
    """The codes of lines of a batch with requests."""
    for call in calls(ROOT / "app/data/openai_requests.py", "_error"):
        if isinstance(call.args[0], ast.Constant):
            yield str(call.args[0].value)
    for path in (ROOT / "app/data/openai_requests.py", ROOT / "app/worker/batches/assembly.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and re.fullmatch(r"batch_[a-z]+ed|invalid_[a-z]+(_line)?", str(node.value)):
                yield str(node.value)


def command_codes() -> Iterator[str]:
    """The codes that commands give to errors of their own, and those of the exit codes."""
    yield from (code.name.lower() for code in Exit if code is not Exit.OK)
    for path in (*(ROOT / "app/cli").rglob("*.py"), *(ROOT / "client/celeriac_cli").rglob("*.py")):
        for call in calls(path, "CLIError"):
            yield from (str(word.value.value) for word in call.keywords if word.arg == "code" and isinstance(word.value, ast.Constant))


def calls(path: Path, name: str) -> list[ast.Call]:
    tree = ast.parse(path.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name]


def test_every_error_of_the_tree_says_when_it_occurs() -> None:
    assert occasions().keys() == every_error().keys()


@pytest.mark.parametrize(
    ("codes", "among"),
    [
        (set(every_error()), "model_not_found"),
        ({"not_found", "method_not_allowed", "http_error"}, "not_found"),
        (set(connection_codes()), "too_many_connections"),
        (set(line_codes()), "duplicate_custom_id"),
        (set(command_codes()), "not_promoted"),
    ],
    ids=["tree", "router", "connection", "lines", "commands"],
)
def test_every_code_is_listed(codes: set[str], among: str) -> None:
    assert among in codes
    assert codes - listed() == set(), f"Describe these codes in {PAGE.relative_to(ROOT)}."


def test_every_listed_code_exists() -> None:
    codes = {*every_error(), "not_found", "method_not_allowed", "http_error", *connection_codes(), *line_codes(), *command_codes()}
    assert listed() - codes == set()
