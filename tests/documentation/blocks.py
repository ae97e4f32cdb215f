"""The code blocks of the documentation: which there are, which tests execute them, and which cannot be executed."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from tests.documentation.tables import CLI, DOCS, README, ROOT

EXECUTED: Final = ("sh", "python", "yaml")
"""Languages of code that a reader runs or copies."""
SHOWN: Final = ("text", "json", "http", "console")
"""Languages of blocks that show an output, a request or a synopsis."""
_FENCE: Final = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+?) -->\n+)?```(?P<language>\w*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)
_TESTS: Final = (
    "tests.system.test_readme",
    "tests.system.test_how_to",
    "tests.system.test_keys",
    "tests.system.test_concurrency",
    "tests.system.test_model_pause",
    "tests.system.test_pause",
    "tests.system.test_audit",
    "tests.documentation.test_blocks",
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and the reason in the page's source why no test executes it."""

    page: str
    line: int
    language: str
    code: str
    reason: str

    def __str__(self) -> str:
        """The place, as editors open it."""
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """The pages with code, relative to the checkout. The reference of the command line is generated."""
    written = [
        README,
        ROOT / "client/README.md",
        ROOT / "charts/celeriac/README.md",
        *(ROOT / "k8s").glob("*.md"),
        *(ROOT / ".github").glob("*.md"),
    ]
    return [path.relative_to(ROOT).as_posix() for path in (*written, *sorted(DOCS.rglob("*.md"))) if path != DOCS / CLI]


@cache
def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = (ROOT / page).read_text()
    return [
        Block(page, text.count("\n", 0, match.start("code")), match["language"], match["code"], match["reason"] or "")
        for match in _FENCE.finditer(text)
    ]


def block(page: str, word: str, language: str = "python") -> str:
    """The one block of a page in that language that contains the word."""
    return find(page, word, language).code


def find(page: str, word: str, language: str) -> Block:
    chosen = [candidate for candidate in blocks(page) if candidate.language == language and word in candidate.code]
    assert len(chosen) == 1, f"{page} has {len(chosen)} blocks of {language} with {word!r}."
    return chosen[0]


def executed() -> Iterator[Block]:
    """The blocks that tests execute: the calls `block(PAGE, "word", "language")` and `run_block(PAGE, "word", …)` in their code."""
    for name in _TESTS:
        module = importlib.import_module(name)
        for call in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
            match call:
                case ast.Call(func=ast.Name("run_block"), args=[ast.Name(page), ast.Constant(str(word)), *_]):
                    yield find(getattr(module, page), word, "sh")
                case ast.Call(func=ast.Name("block"), args=[ast.Name(page), ast.Constant(str(word))]):
                    yield find(getattr(module, page), word, "python")
                case ast.Call(func=ast.Name("block"), args=[ast.Name(page), ast.Constant(str(word)), ast.Constant(str(language))]):
                    yield find(getattr(module, page), word, language)
