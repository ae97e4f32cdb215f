"""Output of commands: tables, JSON, and one sentence for an error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from celeriac_cli.errors import CLIError
from rich.console import Console
from rich.table import Table
from rich.text import Text

STYLE: Final = {
    "completed": "green", "in_progress": "cyan", "finalizing": "cyan", "validating": "blue", "cancelling": "yellow",
    "succeeded": "green", "READY": "green", "ok": "green", "active": "green",
    "running": "cyan", "queued": "blue", "LOADING": "cyan",
    "failed": "red", "UNAVAILABLE": "red", "wrong": "red",
    "cancelled": "yellow", "expired": "yellow", "note": "yellow", "paused": "yellow", "draining": "yellow",
}  # fmt: skip
"""The color of each state."""
_WIDE: Final = 10_000
_READABLE: Final = 24
"""The least width of a column whose text wraps."""


def out() -> Console:
    """The console of standard output; in a pipe without color, and as wide as what it prints."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)


def print_json(data: Any) -> None:
    """Print indented JSON."""
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
    result = Table(*columns, box=None, pad_edge=False, header_style="bold dim")
    for column in result.columns[:-1]:
        column.no_wrap, column.overflow = True, "ellipsis"
    result.columns[-1].overflow = "fold"
    for row in rows:
        result.add_row(*(cell(value) for value in row))
    return result


def cell(value: Any) -> Text:
    """A value as one cell: numbers short, lists of words as words, everything else as JSON."""
    if isinstance(value, Text):
        return value
    if value is None:
        return Text("–", "dim")
    if isinstance(value, float):
        return Text(f"{value:.4g}")
    if isinstance(value, list) and value and all(isinstance(item, float) for item in value):
        return Text(" ".join(f"{item:.4g}" for item in value))
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return Text(", ".join(value))
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return Text(text, STYLE.get(text, ""))


class TokenPrinter:
    """Prints the tokens that a model streams as they arrive: one line for each row of each attempt."""

    def __init__(self) -> None:
        """Print nothing yet."""
        self.shown = 0
        self._line: tuple[int, int] | None = None

    def show(self, token: dict[str, Any]) -> None:
        """Print one token, the data of an event `output`."""
        line = token["attempt"], token["row"]
        if line != self._line:
            self.end()
        self._line, self.shown = line, self.shown + 1
        sys.stdout.write(token["chunk"] if isinstance(token["chunk"], str) else json.dumps(token["chunk"]))
        sys.stdout.flush()

    def end(self) -> None:
        """End the line, so that whatever is printed next begins one."""
        if self._line is not None:
            sys.stdout.write("\n")
        self._line = None


def note(sentence: str) -> None:
    """Print a sentence on standard error, beside the result."""
    Console(stderr=True, highlight=False).print(Text.assemble(("note: ", "bold"), sentence), soft_wrap=True)


def error(what: CLIError, *, as_json: bool) -> None:
    """Print an error on standard error, so that standard output stays clean for scripts."""
    if as_json:
        sys.stderr.write(json.dumps(what.as_dict(), ensure_ascii=False) + "\n")
        return
    first, _, rest = what.sentence.partition("\n")
    lines = Text.assemble(("error: ", "bold red"), first, f"\n{rest}" if rest else "")
    Console(stderr=True, highlight=False).print(lines, soft_wrap=True)


def warning(sentence: str) -> None:
    """Print a sentence on standard error, so that standard output stays clean for scripts."""
    Console(stderr=True, highlight=False).print(Text.assemble(("warning: ", "bold yellow"), sentence), soft_wrap=True)
