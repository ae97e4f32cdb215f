"""The table: for people, for programs, and for the README."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from tests.chaos.ledger import Row

BEGIN: Final = "<!-- chaos -->"
END: Final = "<!-- /chaos -->"
_COLUMNS: Final = {
    "what happens": "name", "accepted": "accepted", "answered right": "right", "lost": "lost", "wrong": "wrong", "two outcomes": "twice",
    "run again": "reruns", "refused": "refused", "recovery, s": "recovery_s",
}  # fmt: skip


def line(row: Row) -> str:
    said = "".join(f"\n    {note}" for note in row.notes)
    return f"{'ok  ' if row.good else 'FAIL'} {row.name}: {row.right} of {row.accepted} answered right, {row.lost} lost, {row.seconds:g} s{said}"


def drawn(rows: Sequence[Row]) -> Table:
    found = Table(*_COLUMNS)
    for row in rows:
        found.add_row(*_cells(row), style=None if row.good else "red")
    return found


def as_dict(rows: Sequence[Row], seed: int, quick: bool) -> dict[str, Any]:
    return {"seed": seed, "quick": quick, "good": all(row.good for row in rows), "rows": [asdict(row) for row in rows]}


def markdown(rows: Sequence[Row]) -> str:
    head = f"| {' | '.join(_COLUMNS)} |\n|---|{'---:|' * (len(_COLUMNS) - 1)}\n"
    return head + "".join(f"| {' | '.join(_cells(row))} |\n" for row in rows)


def write(rows: Sequence[Row], readme: Path = Path("README.md")) -> None:
    """Between the two marks of the README; raises SystemExit where it has none."""
    text = readme.read_text()
    if BEGIN not in text or END not in text:
        raise SystemExit(f"{readme} has no place for the table: put {BEGIN} and {END} where it shall stand")
    before, rest = text.split(BEGIN)
    readme.write_text(f"{before}{BEGIN}\n{markdown(rows)}{END}{rest.split(END)[1]}")


def _cells(row: Row) -> list[str]:
    return [str(getattr(row, name)) for name in _COLUMNS.values()]
