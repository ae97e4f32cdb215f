"""The command behind `scripts/chaos`."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tests.chaos.faults import FAULTS
from tests.chaos.run import run
from tests.chaos.table import Table, line


def main(
    seed: Annotated[int | None, typer.Option(help="Repeats the choices of a run; without it they are new.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer jobs and faults: three to five minutes on two cores.")] = False,
    row: Annotated[list[str] | None, typer.Option(help="Only this row; may be given more than once.")] = None,
    to_json: Annotated[Path | None, typer.Option("--json", help="Writes the table here too.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Write the table into docs/operations/chaos.md.")] = False,
    keep: Annotated[Path | None, typer.Option(help="An empty folder for logs and data, which stays.")] = None,
) -> None:
    """Hurts a whole platform on this machine while it answers jobs with known answers. Exits 1 unless every one was answered right, once."""
    terminal = Console()
    console = terminal if terminal.is_terminal else Console(width=160)
    names = [name for name in FAULTS if not row or name in row]
    if unknown := [name for name in row or () if name not in FAULTS]:
        raise typer.BadParameter(f"there is no row {unknown[0]!r}; there are {', '.join(FAULTS)}")
    seed = random.randrange(1_000_000) if seed is None else seed
    console.print(f"seed {seed}, {len(names)} rows{', quick' if quick else ''}")
    with tempfile.TemporaryDirectory(prefix="celeriac-chaos-") as made:
        rows = asyncio.run(run(names, keep or Path(made), seed=seed, size=1 if quick else 3, done=lambda one: console.print(line(one))))
    found = Table(seed, quick, rows)
    console.print(found.drawn())
    if to_json is not None:
        to_json.write_text(json.dumps(found.as_dict(), indent=1) + "\n")
    if markdown:
        found.write()
    raise typer.Exit(0 if found.good else 1)


if __name__ == "__main__":
    typer.run(main)
