"""What people and scripts see: tables, JSON, and the one sentence of a failure."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.errors import CLIError

STYLE: Final = {
    "completed": "green", "in_progress": "cyan", "finalizing": "cyan", "validating": "blue", "cancelling": "yellow",
    "succeeded": "green", "READY": "green", "ok": "green",
    "running": "cyan", "queued": "blue", "LOADING": "cyan",
    "failed": "red", "UNAVAILABLE": "red", "wrong": "red",
    "cancelled": "yellow", "expired": "yellow", "note": "yellow",
}  # fmt: skip
"""The colour of each state."""
_WIDE: Final = 10_000
_READABLE: Final = 24
"""The least width of a column whose text wraps."""


def out() -> Console:
    """The console of standard output; in a pipe without colour, and as wide as what it prints."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)


def print_json(data: Any) -> None:
    """Indented for people; a script reads it all the same."""
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, none: str = "", extra: Sequence[str] = (), wide: bool = False
) -> None:
    """Print a list, or the sentence `none` if it is empty.

    On a terminal that is too narrow, columns named in `extra` are left out, the first one first; then long cells end with an
    ellipsis, and the last column wraps. `wide` prints everything.
    """
    cells = [[cell(value) for value in row] for row in rows]
    console = Console(highlight=False, width=_WIDE, height=_WIDE) if wide else out()
    if not cells:
        console.print(none, soft_wrap=True, markup=False)
        return
    shown = list(columns)
    for name in extra:
        if _width(columns, cells, shown) <= console.width:
            break
        shown.remove(name)
    places = [columns.index(name) for name in shown]
    console.print(table(shown, ([row[at] for at in places] for row in cells)))
    if len(shown) < len(columns):
        hidden = ", ".join(name for name in columns if name not in shown)
        Console(stderr=True, highlight=False).print(f"--wide also shows {hidden}.", style="dim")


def _width(columns: Sequence[str], cells: Sequence[Sequence[Text]], shown: Sequence[str]) -> int:
    widths = [max(len(name), *(row[columns.index(name)].cell_len for row in cells)) for name in shown]
    # The last column wraps.
    return sum(widths[:-1]) + min(widths[-1], _READABLE) + 2 * len(widths)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Cells as text; a state in its color, None as a dash. The first column names the row and is never cut, the last one wraps."""
    found = Table(*columns, box=None, pad_edge=False, header_style="bold dim")
    for column in found.columns[:-1]:
        column.no_wrap, column.overflow = True, "ellipsis"
    found.columns[-1].overflow = "fold"
    for row in rows:
        found.add_row(*(cell(value) for value in row))
    return found


def cell(value: Any) -> Text:
    """A value as one cell: numbers short, lists of words as words, everything else as JSON."""
    if isinstance(value, Text):
        return value
    if value is None:
        return Text("–", "dim")
    if isinstance(value, float):
        return Text(f"{value:.4g}")
    if isinstance(value, list) and value and all(isinstance(one, float) for one in value):
        return Text(" ".join(f"{one:.4g}" for one in value))
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return Text(", ".join(value))
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return Text(text, STYLE.get(text, ""))


class Pieces:
    """What models yield, on standard output as it comes: a line for each row of each attempt."""

    def __init__(self) -> None:
        self.shown = 0
        self._line: tuple[int, int] | None = None

    def show(self, told: dict[str, Any]) -> None:
        line = told["attempt"], told["row"]
        if line != self._line:
            self.end()
        self._line, self.shown = line, self.shown + 1
        sys.stdout.write(told["chunk"] if isinstance(told["chunk"], str) else json.dumps(told["chunk"]))
        sys.stdout.flush()

    def end(self) -> None:
        """What is printed next begins a line."""
        if self._line is not None:
            sys.stdout.write("\n")
        self._line = None


def note(sentence: str) -> None:
    """A sentence on standard error, beside the result."""
    Console(stderr=True, highlight=False).print(Text.assemble(("note: ", "bold"), sentence), soft_wrap=True)


def error(what: CLIError, *, as_json: bool) -> None:
    """The sentence on standard error, so that what a script reads stays clean."""
    if as_json:
        sys.stderr.write(json.dumps(what.as_dict(), ensure_ascii=False) + "\n")
        return
    first, _, rest = what.sentence.partition("\n")
    lines = Text.assemble(("error: ", "bold red"), first, f"\n{rest}" if rest else "")
    Console(stderr=True, highlight=False).print(lines, soft_wrap=True)


def warning(sentence: str) -> None:
    """On standard error, so that what a script reads stays clean."""
    Console(stderr=True, highlight=False).print(Text.assemble(("warning: ", "bold yellow"), sentence), soft_wrap=True)
