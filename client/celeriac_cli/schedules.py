"""`celeriac schedules`: create, list, pause, run and delete schedules."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.options import JSON, URL, Missed, Wide

app = typer.Typer(help="Create, list, pause, run and delete schedules.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The name of a schedule.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the schedule, for example nightly.")],
    run: Annotated[
        str,
        typer.Option(help='JSON file with what to run, or - for standard input: {"training": {…}}, {"batch": {…}} or {"pipeline": {…}}.'),
    ],
    cron: Annotated[str | None, typer.Option(help="Minute, hour, day, month and weekday, for example '30 2 * * mon-fri'.")] = None,
    every: Annotated[int | None, typer.Option(help="Seconds between two runs, instead of --cron.")] = None,
    timezone: Annotated[str, typer.Option(help="Time zone of --cron, for example Europe/Zurich.")] = "UTC",
    missed: Annotated[Missed, typer.Option(help="What to do with runs that could not start in time.")] = Missed.SKIP,
    paused: Annotated[bool, typer.Option("--paused", help="Create the schedule paused.")] = False,
    description: Annotated[str, typer.Option(help="Human-readable description.")] = "",
    json: JSON = False,
    url: URL = "",
) -> None:
    """Create a schedule."""
    from celeriac_cli.api import connect

    fields = {
        "run": _read(run), "cron": cron, "every_s": every, "timezone": timezone, "missed": missed, "paused": paused,
        "description": description,
    }  # fmt: skip
    with connect(url) as client:
        _print(client.schedules.create(name, **{key: value for key, value in fields.items() if value is not None}), as_json=json)


@app.command("list")
def list_schedules(wide: Wide = False, json: JSON = False, url: URL = "") -> None:
    """List schedules, by name."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        schedules = client.schedules.list()
    if json:
        show.print_json(schedules)
        return
    columns = ("name", "when", "zone", "runs", "next", "paused")
    show.print_table(columns, map(_row, schedules), none="No schedules.", extra=("zone", "runs"), wide=wide)


@app.command("show")
def show_schedule(name: Name, json: JSON = False, url: URL = "") -> None:
    """Show a schedule: when it runs next, and what."""
    from celeriac_cli.api import connect

    with connect(url) as client:
        _print(client.schedules.get(name), as_json=json)


@app.command()
def pause(name: Name, json: JSON = False, url: URL = "") -> None:
    """Pause a schedule."""
    from celeriac_cli.api import connect

    with connect(url) as client:
        _print(client.schedules.pause(name), as_json=json)


@app.command()
def resume(name: Name, json: JSON = False, url: URL = "") -> None:
    """Resume a paused schedule."""
    from celeriac_cli.api import connect

    with connect(url) as client:
        _print(client.schedules.resume(name), as_json=json)


@app.command()
def run(name: Name, json: JSON = False, url: URL = "") -> None:
    """Run a schedule now. Its next times do not change."""
    from celeriac_cli.api import connect

    with connect(url) as client:
        _print(client.schedules.run(name), as_json=json)


@app.command()
def delete(name: Name, json: JSON = False, url: URL = "") -> None:
    """Delete a schedule. A run that has started continues."""
    from celeriac_cli.api import connect

    with connect(url) as client:
        _print(client.schedules.delete(name), as_json=json)


@app.command()
def history(
    name: Name,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Number of runs to list.")] = 20,
    wide: Wide = False,
    json: JSON = False,
    url: URL = "",
) -> None:
    """List the latest runs of a schedule."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        runs = client.schedules.runs(name, limit=limit)
    if json:
        show.print_json(runs)
        return
    rows = ((run["planned_at"], run["state"], run["kind"], run["id"], (run.get("error") or {}).get("detail")) for run in runs)
    show.print_table(("planned", "state", "kind", "id", "error"), rows, none="No runs.", extra=("kind",), wide=wide)


def _row(schedule: dict[str, Any]) -> tuple[Any, ...]:
    return (
        schedule["name"],
        schedule["cron"] or f"each {schedule['every_s']} s",
        schedule["timezone"],
        next(iter(schedule["run"])),
        schedule["next_at"],
        "yes" if schedule["paused"] else "no",
    )


def _print(record: dict[str, Any], *, as_json: bool) -> None:
    from celeriac_cli import show

    if as_json:
        show.print_json(record)
    else:
        show.out().print(show.table(("field", "value"), record.items()))


def _read(source: str) -> Any:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text()
        return json_module.loads(text)
    except OSError as error:
        raise CLIError(f"{source} cannot be read: {error.strerror}.", Exit.NOT_FOUND) from None
    except ValueError as error:
        raise CLIError(f"{source} is not JSON: {error}", Exit.USAGE) from None
