"""`celeriac audit`: list and verify the audit log."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from celeriac_cli.errors import Exit
from celeriac_cli.options import JSON, URL, Wide

app = typer.Typer(help="List and verify the audit log: who changed what, and which requests were refused.", no_args_is_help=True)


@app.command("list")
def list_entries(
    action: Annotated[
        str | None, typer.Option(help="Only entries of this action, for example model.promoted, or of a noun: 'key.*'.")
    ] = None,
    actor: Annotated[str | None, typer.Option(help="Only entries of this key ID, or of key, system or anonymous.")] = None,
    since: Annotated[str | None, typer.Option(help="Only entries since this time, for example 2026-02-28T09:30:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="Only entries until this time.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Number of entries to list, the newest first.")] = 20,
    wide: Wide = False,
    json: JSON = False,
    url: URL = "",
) -> None:
    """List entries of the audit log, the newest first."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        entries = list(client.audit.list(action=action, actor=actor, since=since, until=until, limit=limit))
    if json:
        show.print_json(entries)
        return
    columns = ("id", "time", "action", "outcome", "actor", "address", "targets")
    show.print_table(columns, map(_row, entries), none="No entries.", extra=("address", "id"), wide=wide)


@app.command()
def verify(json: JSON = False, url: URL = "") -> None:
    """Check that no entry was changed, removed or added. If one was, the exit code is 1."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        verification = client.audit.verify()
    if json:
        show.print_json(verification)
    else:
        rows = [
            (chain["chain"], "wrong" if chain["faults"] else "ok", chain["entries"], chain["last_id"], chain["last_sha256"])
            for chain in verification["chains"]
        ]
        show.print_table(("chain", "state", "entries", "newest", "sha256"), rows)
        for chain in verification["chains"]:
            for fault in chain["faults"]:
                show.out().print(fault, markup=False, soft_wrap=True)
    if not verification["valid"]:
        raise typer.Exit(Exit.FAILED)


def _row(entry: dict[str, Any]) -> tuple[Any, ...]:
    actor = entry["actor"]
    name = actor["type"] if actor["id"] is None else actor["id"] if actor["name"] == actor["id"] else f"{actor['id']} ({actor['name']})"
    targets = ", ".join(f"{target['type']} {target['id']}" for target in entry["targets"])
    more = f" ×{entry['count']}" if entry["count"] > 1 else ""
    return (
        entry["id"],
        entry["occurred_at"],
        entry["action"],
        f"{entry['outcome']}{more}",
        name,
        entry["context"]["ip"],
        targets or entry["reason"],
    )
