"""`celeriac schedules`: what is run again and again."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.exits import Exit, Trouble
from app.cli.options import JSON, URL
from app.core.schedules import Missed

app = typer.Typer(help="Make, list, pause and run schedules.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The name of a schedule.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Its name, as in nightly.")],
    run: Annotated[str, typer.Option(help='What to run, a JSON file or -, as in {"training": {…}}, {"batch": {…}} or {"pipeline": {…}}.')],
    cron: Annotated[str | None, typer.Option(help="Minute, hour, day, month and weekday, as in '30 2 * * mon-fri'.")] = None,
    every: Annotated[int | None, typer.Option(help="Instead: the seconds between two runs.")] = None,
    timezone: Annotated[str, typer.Option(help="That of the cron, as in Europe/Zurich.")] = "UTC",
    missed: Annotated[Missed, typer.Option(help="What becomes of runs that could not begin in time.")] = Missed.SKIP,
    paused: Annotated[bool, typer.Option("--paused", help="Make it without starting it.")] = False,
    description: Annotated[str, typer.Option(help="A sentence for people.")] = "",
    json: JSON = False,
    url: URL = "",
) -> None:
    """Make a schedule."""
    body = {
        "name": name, "run": _read(run), "cron": cron, "every_s": every, "timezone": timezone, "missed": missed, "paused": paused,
        "description": description,
    }  # fmt: skip
    _ask("POST", "/v1/schedules", {key: value for key, value in body.items() if value is not None}, json, url)


@app.command("list")
def listed(json: JSON = False, url: URL = "") -> None:
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
    show.out().print(show.table(columns, rows) if found else "no schedules")


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
    """Let a paused schedule go on."""
    _ask("POST", f"/v1/schedules/{name}/resume", {}, json, url)


@app.command()
def run(name: Name, json: JSON = False, url: URL = "") -> None:
    """Run a schedule now; its times stay as they are."""
    _ask("POST", f"/v1/schedules/{name}/run", {}, json, url)


@app.command()
def delete(name: Name, json: JSON = False, url: URL = "") -> None:
    """Forget a schedule; a run that has begun goes on."""
    _ask("DELETE", f"/v1/schedules/{name}", None, json, url)


@app.command()
def history(
    name: Name, limit: Annotated[int, typer.Option(min=1, max=100, help="At most so many.")] = 20, json: JSON = False, url: URL = ""
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
    show.out().print(show.table(("planned", "state", "kind", "id", "error"), rows) if found else "no runs")


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
        raise Trouble(f"{source} cannot be read: {error.strerror}", Exit.NOT_FOUND) from None
    except ValueError as error:
        raise Trouble(f"{source} is not JSON: {error}", Exit.USAGE) from None
