"""Words that code and texts avoid: names that say nothing about their value, and phrases that are not plain English."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.documentation.blocks import pages
from tests.documentation.tables import ROOT

NAMES: Final = ("again", "asked", "found", "here", "known", "moment", "one", "said", "told")
"""Identifiers to avoid, also with underscores around them. A name says what the value is: `response`, `row`, `message`."""
PHRASES: Final = (
    "as it stands", "by itself", "for people", "go on", "goes on", "in the way", "is away", "is no", "lies", "of which there", "so many",
    "stands", "tells", "told", "who asks", "whoever",
)  # fmt: skip
BRITISH: Final = ("artefact", "behaviour", "recognise")
"""Not `colour`, which is a column of a sample model."""
LONGEST_LINE: Final = 160
MOST_WORDS: Final = 30
FIELDS: Final = ("'told'", '"told"')
"""Names of fields in Redis, which records of earlier versions have."""
TEXTS: Final = (
    "app", "client", "docs", "README.md", "CHANGELOG.md", "charts", "scripts", "k8s", ".github", "Dockerfile", "skaffold.yaml", "pyproject.toml",
    ".pre-commit-config.yaml",
)  # fmt: skip
SCRIPTED: Final = (
    (".lua", re.compile(r"\blocal\s+(?:function\s+)?([\w, ]+)|\bfor\s+([\w, ]+)\s+in\b")),
    ("", re.compile(r"^[ \t]*(?:export )?(\w+)=|\bfor (\w+) in\b|\blocal ([\w=() ]+)|\bread -r (\w+)", re.MULTILINE)),
)
"""How Lua and shell scripts, which have no suffix, name variables."""
CHANGED_WITH_CI: Final = ("test",)
"""Scripts that are changed together with the pipeline of CI."""
SKIPPED: Final = (".json", ".mjs", ".png", ".pyc", ".svg")
"""Suffixes of generated files, of images and of modules of others, among them the chart's schema and the dashboards."""


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and name of everything that the code names."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=str(name)) | ast.AsyncFunctionDef(name=str(name)) | ast.ClassDef(name=str(name)):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name
            case ast.alias(asname=str(name)):
                yield node.lineno, name


def phrases(text: str, phrase: str) -> Iterator[int]:
    """Yield the lines in which a phrase begins. It may continue on the next line, also of a comment."""
    words = phrase.split()
    pattern = r"(?:\s|#)+".join(map(re.escape, words))
    # "is no longer" is plain English; "is no model" is not.
    end = r"(?:\s|#)+(?!longer\b|more\b)\w" if phrase == "is no" else "" if phrase in BRITISH else r"\b"
    for match in re.finditer(rf"\b{pattern}{end}", text, re.IGNORECASE):
        if text[match.start() - 1 : match.end() + 1] not in FIELDS:
            yield text.count("\n", 0, match.start()) + 1


@cache
def named() -> list[tuple[str, str]]:
    """Return the place and name of every identifier in the code."""
    paths = sorted(path for folder in ("app", "client") for path in (ROOT / folder).rglob("*.py") if "_sync" not in path.parts)
    found = [(path, line, name) for path in paths for line, name in names(ast.parse(path.read_text(encoding="utf-8")))]
    for suffix, pattern in SCRIPTED:
        for path in sorted((ROOT / ("app/store" if suffix else "scripts")).iterdir()):
            if path.suffix == suffix and path.is_file() and path.name not in CHANGED_WITH_CI:
                found += [(path, line, name) for line, name in variables(path.read_text(encoding="utf-8"), pattern)]
    return [(f"{path.relative_to(ROOT)}:{line}", name) for path, line, name in found]


def variables(text: str, pattern: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    """Yield the line and name of every variable that a pattern recognizes."""
    for match in pattern.finditer(text):
        for name in re.findall(r"\w+", " ".join(filter(None, match.groups()))):
            yield text.count("\n", 0, match.start()) + 1, name


@cache
def texts() -> dict[Path, str]:
    """Return the text of every file that is written by hand, and of those that are generated from it for readers."""
    roots = [ROOT / name for name in TEXTS]
    paths = [path for root in roots for path in ([root] if root.is_file() else sorted(root.rglob("*")))]
    return {path: path.read_text(encoding="utf-8") for path in paths if path.is_file() and _is_text(path)}


def _is_text(path: Path) -> bool:
    pinned = path.parent.name == "scripts" and path.suffix == ".txt"
    return path.suffix not in SKIPPED and not pinned and "_sync" not in path.parts


@pytest.mark.parametrize("word", NAMES)
def test_a_name_says_what_it_holds(word: str) -> None:
    places = [f"{place}: {name}" for place, name in named() if name.strip("_") == word]
    assert not places, "Name these by what they hold:\n" + "\n".join(places)


@pytest.mark.parametrize("phrase", [*PHRASES, *BRITISH])
def test_texts_avoid_the_phrase(phrase: str) -> None:
    places = [f"{path.relative_to(ROOT)}:{line}: {phrase}" for path, text in texts().items() for line in phrases(text, phrase)]
    assert not places, "Write these in plain American English:\n" + "\n".join(places)


@pytest.mark.parametrize("page", [page for page in pages() if not page.startswith(".github/")])
def test_pages_have_short_lines_and_sentences(page: str) -> None:
    paragraphs = list(prose((ROOT / page).read_text()))
    lines = [f"{page}:{number}" for number, paragraph in paragraphs for line in paragraph if len(line) > LONGEST_LINE]
    assert not lines, f"Wrap these lines at {LONGEST_LINE} characters: {lines}"
    long = [
        f"{page}:{number}: {text}" for number, paragraph in paragraphs for text in sentences(paragraph) if len(text.split()) > MOST_WORDS
    ]
    assert not long, "Split these sentences:\n" + "\n".join(long)


def prose(text: str) -> Iterator[tuple[int, list[str]]]:
    """The paragraphs and list items of a page with the lines in which they begin, without code, headings, tables, comments and images."""
    paragraph: list[str] = []
    code = False
    for number, line in enumerate([*text.splitlines(), ""], 1):
        fence = line.lstrip().startswith("```")
        code ^= fence
        item = re.match(r"\s*([-*] |\d+\. |> )", line)
        other = code or fence or not line.strip() or line.startswith(("|", "<", "#", "!", "    "))
        if (other or item) and paragraph:
            yield number - len(paragraph), paragraph
            paragraph = []
        if not other:
            paragraph.append(line)
    assert not code


def sentences(paragraph: list[str]) -> list[str]:
    text = re.sub(r"`[^`]*`", "X", " ".join(line.strip() for line in paragraph))
    return re.split(r"(?<=[.!?:;])\s+(?=[A-Z\[*(])", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text))


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("one = 1", "one"),
        ("def found(): ...", "found"),
        ("lambda told: 1", "told"),
        ("class Row:\n    known: int", "known"),
        ("self._said = 1", "_said"),
        ("[0 for here in ()]", "here"),
        ("try: ...\nexcept OSError as again: ...", "again"),
        ("import time as moment", "moment"),
        ("match 1:\n    case asked: ...", "asked"),
    ],
)
def test_names_of_every_kind_are_recognized(code: str, name: str) -> None:
    assert name in [name for _, name in names(ast.parse(code))]


@cache
def described() -> list[tuple[str, str]]:
    """Return the place of every docstring of the tests and of every name of a test, and its words."""
    texts = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                name = getattr(node, "name", "")
                place = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"
                texts += [(place, text) for text in (ast.get_docstring(node), name.startswith("test_") and name.replace("_", " ")) if text]
    return texts


@pytest.mark.parametrize("phrase", [*PHRASES, *BRITISH])
def test_tests_avoid_the_phrase(phrase: str) -> None:
    places = [f"{place}: {phrase}: {text}" for place, text in described() for _ in phrases(f" {text} .", phrase)]
    assert len(described()) > 2000
    assert not places, "Write these in plain American English:\n" + "\n".join(places)


@pytest.mark.parametrize(
    ("suffix", "code", "name"),
    [
        (".lua", "local found = 1", "found"),
        (".lua", "local a, told = 1, 2", "told"),
        (".lua", "for one in pairs(x) do", "one"),
        ("", "here=1", "here"),
        ("", "    local here=() one", "one"),
        ("", "for one in a b; do", "one"),
    ],
)
def test_variables_of_scripts_are_recognized(suffix: str, code: str, name: str) -> None:
    assert name in [variable for _, variable in variables(code, dict(SCRIPTED)[suffix])]


@pytest.mark.parametrize(
    ("phrase", "text", "lines"),
    [
        ("is no", "this is no model\nit is no longer one\nThere is no\nalias", [1, 3]),
        ("told", "untold\nas Told", [2]),
        ("lies", "it replies\nit lies there", [2]),
        ("in the way", "# stands in the\n# way of it", [1]),
        ("artefact", "a\nartefacts", [2]),
    ],
)
def test_phrases_are_recognized(phrase: str, text: str, lines: list[int]) -> None:
    assert list(phrases(text, phrase)) == lines
