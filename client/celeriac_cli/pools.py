"""`celeriac pools`: how much work each pool has, who does it, and what keeps the pool from growing."""

from __future__ import annotations

from typing import Any

from celeriac_cli.options import JSON, URL, Wide


def pools(wide: Wide = False, json: JSON = False, url: URL = "") -> None:
    """Show each pool: waiting and running jobs, workers, pods, and what keeps it from scaling."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        page = client.get("/v1/pools")
    if json:
        show.print_json(page)
        return
    columns = ("pool", "waiting", "bulk", "running", "workers", "processes", "pods ready", "of", "least", "most", "last event")
    console = show.out()
    rows = [_row(pool) for pool in page["items"]]
    extra = ("last event", "least", "most", "of", "pods ready")
    show.print_table(columns, rows, none="No pools. Publish a model or start a worker.", extra=extra, wide=wide)
    for pool in page["items"]:
        for obstacle in pool["obstacles"]:
            console.print(f"{pool['pool']}: {obstacle}", style="yellow", soft_wrap=True, markup=False)
    if page["note"]:
        console.print(page["note"], style="dim", soft_wrap=True, markup=False)


def _row(pool: dict[str, Any]) -> tuple[Any, ...]:
    pods = pool["scaling"] or {}
    event = pods.get("last_event")
    return (
        pool["pool"],
        pool["waiting"]["interactive"],
        pool["waiting"]["bulk"],
        *(pool[name] for name in ("running", "workers", "processes")),
        *(pods.get(name) for name in ("ready", "wanted", "minimum", "maximum")),
        event and f"{event['at']} {event['reason']}",
    )
