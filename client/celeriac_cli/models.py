"""`celeriac models`: the models that the API serves."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from celeriac_cli import captures, drift, publish, push, quality, replay, rollouts, sync
from celeriac_cli.options import JSON, URL

app = typer.Typer(help="List, show, publish, promote, roll out, follow, compare, pause and resume models.", no_args_is_help=True)
app.command()(publish.publish)
app.command()(publish.promote)
app.command()(publish.follow)
app.command()(rollouts.rollout)
app.command()(rollouts.status)
app.command()(rollouts.rollback)
app.command()(rollouts.shadow)
app.command()(push.push)
app.command()(push.pull)
app.command()(sync.sync)
app.command()(drift.drift)
app.command()(captures.captures)
app.command()(replay.replay)
app.command()(quality.feedback)
app.command()(quality.quality)
Name = Annotated[str, typer.Argument(help="Name of a model, for example digits.")]


@app.command("list")
def list_models(json: JSON = False, url: URL = "") -> None:
    """List the models that the API knows, with their versions and states."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        models = client.models.list()
    if json:
        show.print_json(models)
        return
    columns = ("model", "version", "state", "lane", "aliases", "description")
    rows = [
        (model["name"], version["version"], _state(model, version), version.get("lane"), _aliases(model, version), _about(model, version))
        for model in models
        for version in model["versions"]
    ]
    show.out().print(show.table(columns, rows) if rows else "no models: publish one with `celeriac models publish`")


@app.command("show")
def show_version(
    model: Annotated[str, typer.Argument(help="Model reference: name, name@alias or name@version, for example digits@production.")],
    json: JSON = False,
    url: URL = "",
) -> None:
    """Show the inputs and outputs of a version, and whether it is served."""
    from celeriac_cli import show
    from celeriac_cli.api import connect
    from celeriac_cli.predict import split_reference

    name, which = split_reference(model)
    with connect(url) as client:
        entry = client.models.get(name)
        version = client.models.version(name, which or entry["default"])
    if json:
        show.print_json(version)
        return
    hidden = ("golden", "profile", "inputs", "outputs")  # long; the last two have tables of their own
    console = show.out()
    console.print(show.table(("field", "value"), ((name, value) for name, value in version.items() if name not in hidden)))
    if pause := entry.get("pause"):
        because = f": {pause['reason']}" if pause["reason"] else ""
        console.print(f"The model has been paused since {pause['since']}{because}", style="yellow", soft_wrap=True, markup=False)
    for promotion in entry.get("promotions", ()):
        console.print(_pending(promotion))
    for side in ("inputs", "outputs"):
        rows = ((s["name"], s["datatype"], s["shape"], "yes" if s["nullable"] else "no", s["columns"]) for s in version.get(side, ()))
        console.print(f"\n[bold]{side}[/]", show.table(("name", "datatype", "shape", "nullable", "columns"), rows), sep="\n")


@app.command()
def pause(
    name: Name,
    reason: Annotated[str, typer.Option(help="Human-readable reason. Callers that wait or are refused see it.")] = "",
    json: JSON = False,
    url: URL = "",
) -> None:
    """Let nothing of a model start. Jobs and batches are accepted and wait, and synchronous requests are refused."""
    from celeriac_cli.api import connect

    with connect(url) as client:
        _print(client.models.pause(name, reason=reason), as_json=json)


@app.command()
def resume(name: Name, json: JSON = False, url: URL = "") -> None:
    """Let what waits for a paused model start."""
    from celeriac_cli.api import connect

    with connect(url) as client:
        _print(client.models.resume(name), as_json=json)


def _print(record: dict[str, Any], *, as_json: bool) -> None:
    from celeriac_cli import show

    if as_json:
        show.print_json(record)
        return
    pause = record["pause"]
    fields = {"model": record["name"], "state": "paused" if pause else "active", **(pause or {})}
    show.out().print(show.table(("field", "value"), fields.items()))


def _state(model: dict[str, Any], version: dict[str, Any]) -> str:
    # Servers of earlier releases cannot pause a model.
    return f"{version['state']} (paused)" if model.get("pause") else str(version["state"])


def _aliases(model: dict[str, Any], version: dict[str, Any]) -> str | None:
    aliases = [alias for alias, target in model["aliases"].items() if target == version["version"]]
    promotions = [
        promotion for promotion in model.get("promotions", ()) if promotion["version"] == version["version"] and promotion["alias"]
    ]
    return ", ".join([*aliases, *(f"{promotion['alias']} ({promotion['state']})" for promotion in promotions)]) or None


def _about(model: dict[str, Any], version: dict[str, Any]) -> str:
    promotions = [promotion for promotion in model.get("promotions", ()) if promotion["version"] == version["version"]]
    return str(version.get("reason") or next(map(_pending, promotions), model["description"]))


def _pending(promotion: dict[str, Any]) -> str:
    """One sentence about an alias that has not moved."""
    alias = f"alias {promotion['alias']!r}" if promotion["alias"] else "the bare name"
    if promotion["before"] == promotion["version"]:
        return f"{alias} stays at {promotion['version']}: {promotion['reason']}"
    verb = "failed to move" if promotion["state"] == "failed" else "waits to move"
    return f"{alias} {verb} from {promotion['before'] or 'nothing'} to {promotion['version']}: {promotion['reason']}"
