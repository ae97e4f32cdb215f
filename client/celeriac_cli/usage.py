"""`celeriac usage`: what owners used, and what it cost."""

from __future__ import annotations

from typing import Annotated

import typer
from celeriac_cli.options import JSON, URL, Wide


def usage(
    since: Annotated[str, typer.Option(help="First UTC day, such as 2026-02-01, or its age, such as -6d.")] = "-29d",
    until: Annotated[str, typer.Option(help="Last UTC day, which is included (default: today).")] = "",
    group_by: Annotated[str, typer.Option(help="What the rows are, separated by commas: owner, model, pool and day.")] = "owner,model",
    owner: Annotated[str | None, typer.Option(help="Only this owner.")] = None,
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    pool: Annotated[str | None, typer.Option(help="Only this pool.")] = None,
    pools: Annotated[bool, typer.Option("--pools", help="Show the time of pools instead: reserved, used and idle.")] = False,
    wide: Wide = False,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Show what owners used in some days: jobs and rows, seconds of processes, and their cost."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    names = [name.strip() for name in group_by.split(",") if name.strip()]
    with connect(url) as client:
        used = client.usage(since, until or None, group_by=names, owner=owner, model=model, pool=pool)
    if json:
        show.print_json(used)
        return
    if pools:
        days = ("day",) if "day" in names else ()
        columns = (*days, "pool", "reserved_s", "used_s", "idle_s", "reserved_cost", "used_cost", "idle_cost")
        none = "No pool had a process, or the key does not see all owners."
        show.print_table(columns, [tuple(item[name] for name in columns) for item in used["pools"]], none=none, wide=wide)
        return
    columns = (*names, "jobs", "rows", "run_s", "cost")
    show.print_table(columns, [tuple(item[name] for name in columns) for item in used["items"]], none="Nothing was used.", wide=wide)
