"""What a run found: the table that is printed, the JSON that is kept, and what became worse since another run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.rows import ROWS, Finding, Samples, find


def as_json(machine: Mapping[str, Any], run: Mapping[str, Any], systems: Mapping[str, Any], samples: Samples) -> dict[str, Any]:
    """`rows` are the ratios, `samples` the figures of every round that they come from."""
    rows = {
        found.row.id: {
            "what": found.row.what, "against": found.row.against, "figure": found.row.figure, "goal": found.row.goal,
            "ours": _short(found.ours), "other": _short(found.other), "ratio": _short(found.ratio),
            "spread": [_short(found.least), _short(found.most)], "reached": found.reached, "unit": found.row.unit,
        }
        for found in findings(samples)
    }  # fmt: skip
    taken = {
        measure: {
            system: {figure: [_short(value) for value in values] for figure, values in figures.items()} for system, figures in one.items()
        }
        for measure, one in samples.items()
    }
    return {"machine": machine, "run": run, "systems": systems, "rows": rows, "samples": taken}


def findings(samples: Samples) -> list[Finding]:
    return [found for row in ROWS if (found := find(row, samples)) is not None]


def show(console: Console, samples: Samples, systems: Mapping[str, Mapping[str, float]]) -> None:
    table = Table(title="Ratios of medians, side by side in one run")
    for name in ("what", "against"):
        table.add_column(name)
    for name in ("ours", "theirs", "ratio", "spread", "goal", ""):
        table.add_column(name, justify="right")
    for found in findings(samples):
        mark = {True: "[green]✓[/]", False: "[red]✗[/]", None: ""}[found.reached]
        figure = found.row.figure
        table.add_row(
            found.row.what, found.row.against, formatted(figure, found.ours), formatted(figure, found.other) if found.row.against else "",
            f"{found.ratio:.2f}{found.row.unit}",
            f"{found.least:.2f}–{found.most:.2f}", found.row.goal, mark,
        )  # fmt: skip
    console.print(table)
    plain = Table(title="Every measure, medians")
    for name in ("measure", "system", "rate", "p50", "p99", "start", "CPU of 1,000", "memory"):
        plain.add_column(name, justify="left" if name in ("measure", "system") else "right")
    for measure, one in samples.items():
        for system, figures in one.items():
            shown = [
                formatted(figure, median(figures[figure])) if figure in figures else ""
                for figure in ("rate", "p50_ms", "p99_ms", "started_ms", "cpu_s_per_1000", "memory")
            ]
            plain.add_row(measure, system, *shown)
    console.print(plain)
    for name, facts in systems.items():
        console.print(f"{name}: first answer after {facts['started_s']:.1f} s, {facts['memory_idle'] / 2**20:.0f} MiB idle")


def formatted(figure: str, value: float) -> str:
    """With its unit."""
    if figure.endswith("rate"):
        return f"{value:,.0f}/s"
    if figure == "commands":
        return f"{value:.1f}/s"
    if figure.endswith("percent"):
        return f"{value:.1f} %"
    if figure.endswith("_ms"):
        return f"{value:.2f} ms"
    if figure == "memory":
        return f"{value / 2**20:.0f} MiB"
    return f"{value:.3f} s" if figure.startswith("cpu_s") else f"{value:,.0f} µs"


def worse(now: Mapping[str, Any], baseline: Path, tolerance: float) -> list[str]:
    """A sentence for each ratio that lost more than `tolerance` (0.2: a fifth) since `baseline`; rows of one run only are left out."""
    found = []
    known = json.loads(baseline.read_text())["rows"]
    for id, row in now["rows"].items():
        if id not in known or not known[id]["goal"]:
            continue
        before, ratio = known[id]["ratio"], row["ratio"]
        small = row["goal"].startswith("≤")
        if ratio > before * (1 + tolerance) if small else ratio < before * (1 - tolerance):
            found.append(
                f"{row['what']} against {row['against'] or 'the goal'}: {ratio:.2f}{row['unit']}, was {before:.2f}{row['unit']} (goal {row['goal']})"
            )
    return found


def write(path: Path, found: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def names(samples: Samples) -> Sequence[str]:
    return list(dict.fromkeys(system for one in samples.values() for system in one))
