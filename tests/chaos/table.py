"""The table: for readers, for programs, and for the documentation."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.table import Table as Drawn

from tests import tools
from tests.bench import machine
from tests.chaos.ledger import Row

BEGIN: Final = "<!-- chaos -->"
END: Final = "<!-- /chaos -->"
_COLUMNS: Final = {
    "what happens": "name", "accepted": "accepted", "sharing a message": "together", "answered right": "right", "lost": "lost", "wrong": "wrong",
    "two outcomes": "twice", "run again": "reruns", "refused": "refused", "recovery, s": "recovery_s",
}  # fmt: skip


def _here() -> Mapping[str, Any]:
    said = subprocess.run([tools.redis_server(), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"v=([\d.]+)", said)
    return {**machine.describe(found[1] if found else ""), "load": round(os.getloadavg()[1], 1)}


@dataclass
class Table:
    """The rows of one run, and where that was."""

    seed: int
    quick: bool
    rows: Sequence[Row]
    machine: Mapping[str, Any] = field(default_factory=_here)

    @property
    def good(self) -> bool:
        return all(row.good for row in self.rows)

    def drawn(self) -> Drawn:
        found = Drawn(*_COLUMNS)
        for row in self.rows:
            found.add_row(*_cells(row), style=None if row.good else "red")
        return found

    def as_dict(self) -> dict[str, Any]:
        reported = {"seed": self.seed, "quick": self.quick, "good": self.good, "machine": self.machine}
        return {**reported, "rows": [asdict(row) for row in self.rows]}

    def markdown(self) -> str:
        here, versions = self.machine, self.machine["versions"]
        command = f"scripts/chaos --seed {self.seed}{' --quick' if self.quick else ''} --markdown"
        where = f"{here['cores']} cores, {here['memory_gib']} GiB, Redis {versions['redis-server']}, Python {versions['python']}, load average {here['load']}"
        head = f"`{command}` on {where}:\n\n| {' | '.join(_COLUMNS)} |\n|---|{'---:|' * (len(_COLUMNS) - 1)}\n"
        return head + "".join(f"| {' | '.join(_cells(row))} |\n" for row in self.rows)

    def write(self, page: Path = Path("docs/operations/chaos.md")) -> None:
        """Writes the table between the two marks of the page. Raises SystemExit if the page has none."""
        text = page.read_text()
        if BEGIN not in text or END not in text:
            raise SystemExit(f"{page} has no place for the table: add the lines {BEGIN} and {END}")
        before, rest = text.split(BEGIN)
        page.write_text(f"{before}{BEGIN}\n{self.markdown()}{END}{rest.split(END)[1]}")


def line(row: Row) -> str:
    """What is reported of a row as soon as it is over."""
    said = "".join(f"\n    {note}" for note in row.notes)
    return f"{'ok  ' if row.good else 'FAIL'} {row.name}: {row.right} of {row.accepted} answered right, {row.lost} lost, {row.seconds:g} s{said}"


def _cells(row: Row) -> list[str]:
    return [str(getattr(row, name)) for name in _COLUMNS.values()]
