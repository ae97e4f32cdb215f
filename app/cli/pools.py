"""`celeriac pools`: how much work there is, who does it, and what keeps a pool from growing."""

from __future__ import annotations

from typing import Any

from app.cli.options import JSON, URL


def pools(json: JSON = False, url: URL = "") -> None:
    """Show each pool: what waits and runs, its workers and pods, and in words what keeps it from growing."""
    from app.cli import show
    from app.cli.remote import Remote

    with Remote(url) as api:
        found = api.get("/v1/pools")
    if json:
        show.print_json(found)
        return
    columns = ("pool", "waiting", "bulk", "running", "workers", "processes", "pods ready", "of", "least", "most", "last event")
    console = show.out()
    console.print(show.table(columns, (_row(pool) for pool in found["items"])) if found["items"] else "no pools: no model, no worker")
    for pool in found["items"]:
        for obstacle in pool["obstacles"]:
            console.print(f"{pool['pool']}: {obstacle}", style="yellow", soft_wrap=True, markup=False)
    if found["note"]:
        console.print(found["note"], style="dim", soft_wrap=True, markup=False)


def _row(pool: dict[str, Any]) -> tuple[Any, ...]:
    pods = pool["scaling"] or {}
    event = pods.get("last_event")
    return (
        pool["pool"],
        pool["waiting"]["interactive"],
        pool["waiting"]["bulk"],
        *(pool[what] for what in ("running", "workers", "processes")),
        *(pods.get(what) for what in ("ready", "wanted", "minimum", "maximum")),
        event and f"{event['at']} {event['reason']}",
    )
