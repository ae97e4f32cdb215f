"""`celeriac pools`: how much work each pool has, who does it, what keeps it from growing; and to pause, drain and resume it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.options import JSON, URL, Wide

app = typer.Typer(help="Show pools; pause, drain and resume them.", invoke_without_command=True)
Name = Annotated[str, typer.Argument(help="Name of a pool, for example gpu.")]
Reason = Annotated[str, typer.Option(help="Human-readable reason. Callers that wait or are refused see it.")]


@app.callback()
def pools(context: typer.Context, wide: Wide = False, json: JSON = False, url: URL = "") -> None:
    """Show each pool: waiting and running jobs, workers, pods, and what keeps it from scaling. With a command, change one pool."""
    if context.invoked_subcommand is not None:
        if wide or json or url:
            raise CLIError(f"Put the options after the command: celeriac pools {context.invoked_subcommand} NAME --json.", Exit.USAGE)
        return
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        page = client.get("/v1/pools")
    if json:
        show.print_json(page)
        return
    columns = (
        "pool",
        "state",
        "priority",
        "waiting",
        "bulk",
        "flex",
        "held back",
        "running",
        "workers",
        "processes",
        "wanted",
        "pods ready",
        "of",
        "least",
        "most",
        "last event",
    )
    console = show.out()
    rows = [_row(pool) for pool in page["items"]]
    extra = ("last event", "least", "most", "of", "pods ready", "held back", "flex", "priority")
    show.print_table(columns, rows, none="No pools. Publish a model or start a worker.", extra=extra, wide=wide)
    for pool in page["items"]:
        for obstacle in pool["obstacles"]:
            console.print(f"{pool['pool']}: {obstacle}", style="yellow", soft_wrap=True, markup=False)
    if page["note"]:
        console.print(page["note"], style="dim", soft_wrap=True, markup=False)


@app.command()
def pause(name: Name, reason: Reason = "", json: JSON = False, url: URL = "") -> None:
    """Let the workers of a pool take no more jobs. Jobs are accepted and wait until the pool is resumed."""
    from celeriac_cli.api import connect

    with connect(url) as client:
        _print(client.pools.pause(name, reason=reason), as_json=json)


@app.command()
def drain(name: Name, reason: Reason = "", json: JSON = False, url: URL = "") -> None:
    """Refuse new work for a pool, and complete what was accepted before."""
    from celeriac_cli.api import connect

    with connect(url) as client:
        _print(client.pools.drain(name, reason=reason), as_json=json)


@app.command()
def resume(name: Name, json: JSON = False, url: URL = "") -> None:
    """Let a pool accept and run work again."""
    from celeriac_cli.api import connect

    with connect(url) as client:
        _print(client.pools.resume(name), as_json=json)


def _row(pool: dict[str, Any]) -> tuple[Any, ...]:
    pods = pool["scaling"] or {}
    event = pods.get("last_event")
    return (
        pool["pool"],
        pool.get("state"),
        # Servers of earlier releases have no service tiers and no demand.
        *(pool["waiting"].get(queue) for queue in ("priority", "interactive", "bulk", "flex")),
        pool.get("held_back"),
        *(pool[name] for name in ("running", "workers", "processes")),
        (pool.get("demand") or {}).get("wanted"),
        *(pods.get(name) for name in ("ready", "wanted", "minimum", "maximum")),
        event and f"{event['at']} {event['reason']}",
    )


def _print(record: dict[str, Any], *, as_json: bool) -> None:
    from celeriac_cli import show

    if as_json:
        show.print_json(record)
    else:
        show.out().print(show.table(("field", "value"), record.items()))
