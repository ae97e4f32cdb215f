"""`celeriac stats`: how much each model did, how long it took, and what failed."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer
from celeriac_cli.options import JSON, URL, Wide


class GroupBy(StrEnum):
    """What the rows of the table are."""

    MODEL = "model"
    VERSION = "version"
    POOL = "pool"


def stats(
    since: Annotated[str, typer.Option(help="Begin of the period: an age such as -24h, or an RFC 3339 timestamp.")] = "-1h",
    until: Annotated[str, typer.Option(help="End of the period (default: now).")] = "",
    model: Annotated[str, typer.Option(help="Only this model.")] = "",
    pool: Annotated[str, typer.Option(help="Only this pool.")] = "",
    group_by: Annotated[GroupBy, typer.Option(help="A row for each model, version or pool.")] = GroupBy.MODEL,
    step: Annotated[str, typer.Option(help="Step of the points that --json prints: 1m, 5m, 15m, 30m, 1h, 6h or 1d.")] = "",
    wide: Wide = False,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Show how much each model did in a period: jobs and rows, jobs per second, waiting and run times in seconds, and errors."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        figures = client.stats(since, until or None, step=step or None, model=model or None, pool=pool or None, group_by=group_by)
    if json:
        show.print_json(figures)
        return
    names = ("model", "version") if group_by is GroupBy.VERSION else (group_by.value,)
    columns = (*names, "jobs", "rows", "per second", "wait p50", "wait p95", "run p50", "run p95", "failed", "expired", "cancelled")
    rows = [_row(item, names) for item in figures["items"]]
    show.print_table(columns, rows, none="Nothing was submitted.", extra=("cancelled", "expired", "rows"), wide=wide)


def _row(item: dict[str, Any], names: tuple[str, ...]) -> tuple[Any, ...]:
    total = item["total"]
    columns = ("submitted", "rows", "rate", "wait_p50_s", "wait_p95_s", "run_p50_s", "run_p95_s", "failed", "expired", "cancelled")
    return (*(item[name] for name in names), *(total[name] for name in columns))
