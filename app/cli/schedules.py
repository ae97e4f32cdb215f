"""`celeriac schedules`: create, list, pause, run and delete schedules."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.errors import CLIError, Exit
from app.cli.options import JSON, URL, Wide
from app.core.schedules import Missed

app = typer.Typer(help="Create, list, pause, run and delete schedules.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The name of a schedule.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the schedule, for example nightly.")],
    run: Annotated[
        str,
        typer.Option(help='JSON file with what to run, or - for standard input: {"training": {…}}, {"batch": {…}} or {"pipeline": {…}}.'),
    ],
    cron: Annotated[str | None, typer.Option(help="Minute, hour, day, month and weekday, as in '30 2 * * mon-fri'.")] = None,
    every: Annotated[int | None, typer.Option(help="Seconds between two runs, instead of --cron.")] = None,
    timezone: Annotated[str, typer.Option(help="Time zone of --cron, for example Europe/Zurich.")] = "UTC",
    missed: Annotated[Missed, typer.Option(help="What to do with runs that could not start in time.")] = Missed.SKIP,
    paused: Annotated[bool, typer.Option("--paused", help="Create the schedule paused.")] = False,
    description: Annotated[str, typer.Option(help="Human-readable description.")] = "",
    json: JSON = False,
    url: URL = "",
) -> None:
    """Create a schedule."""
    body = {
        "name": name, "run": _read(run), "cron": cron, "every_s": every, "timezone": timezone, "missed": missed, "paused": paused,
        "description": description,
    }  # fmt: skip
    _ask("POST", "/v1/schedules", {key: value for key, value in body.items() if value is not None}, json, url)


@app.command("list")
def listed(wide: Wide = False, json: JSON = False, url: URL = "") -> None:
    """List schedules, by name."""
    from app.cli import show
    from app.cli.remote import Remote

    with Remote(url) as api:
        found = api.get("/v1/schedules")["items"]
    if json:
        show.print_json(found)
        return
    columns = ("name", "when", "zone", "runs", "next", "paused")
    rows = (
        (
            one["name"],
            one["cron"] or f"each {one['every_s']} s",
            one["timezone"],
            next(iter(one["run"])),
            one["next_at"],
            "yes" if one["paused"] else "no",
        )
        for one in found
    )
    show.print_table(columns, rows, none="No schedules.", extra=("zone", "runs"), wide=wide)


@app.command("show")
def show_one(name: Name, json: JSON = False, url: URL = "") -> None:
    """Show a schedule: when it runs next, and what."""
    _ask("GET", f"/v1/schedules/{name}", None, json, url)


@app.command()
def pause(name: Name, json: JSON = False, url: URL = "") -> None:
    """Pause a schedule."""
    _ask("POST", f"/v1/schedules/{name}/pause", {}, json, url)


@app.command()
def resume(name: Name, json: JSON = False, url: URL = "") -> None:
    """Resume a paused schedule."""
    _ask("POST", f"/v1/schedules/{name}/resume", {}, json, url)


@app.command()
def run(name: Name, json: JSON = False, url: URL = "") -> None:
    """Run a schedule now. Its next times do not change."""
    _ask("POST", f"/v1/schedules/{name}/run", {}, json, url)


@app.command()
def delete(name: Name, json: JSON = False, url: URL = "") -> None:
    """Delete a schedule. A run that has started continues."""
    _ask("DELETE", f"/v1/schedules/{name}", None, json, url)


@app.command()
def history(
    name: Name,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Number of runs to list.")] = 20,
    wide: Wide = False,
    json: JSON = False,
    url: URL = "",
) -> None:
    """List the latest runs of a schedule."""
    from app.cli import show
    from app.cli.remote import Remote

    with Remote(url) as api:
        found = api.get(f"/v1/schedules/{name}/runs", limit=limit)["items"]
    if json:
        show.print_json(found)
        return
    rows = ((one["planned_at"], one["state"], one["kind"], one["id"], (one.get("error") or {}).get("detail")) for one in found)
    show.print_table(("planned", "state", "kind", "id", "error"), rows, none="No runs.", extra=("kind",), wide=wide)


def _ask(method: str, path: str, body: Any, as_json: bool, url: str) -> None:
    from app.cli import show
    from app.cli.remote import Remote

    with Remote(url) as api:
        found = {"GET": api.get, "DELETE": api.delete}[method](path) if body is None else api.post(path, body)
    if as_json:
        show.print_json(found)
    else:
        show.out().print(show.table(("field", "value"), found.items()))


def _read(source: str) -> Any:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text()
        return json_module.loads(text)
    except OSError as error:
        raise CLIError(f"{source} cannot be read: {error.strerror}", Exit.NOT_FOUND) from None
    except ValueError as error:
        raise CLIError(f"{source} is not JSON: {error}", Exit.USAGE) from None
