"""`celeriac pipelines`: list, show and run pipelines."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.options import JSON, URL, ServiceTier, Wait, Webhook, Wide, tier_field, webhook_field

app = typer.Typer(help="List, show and run pipelines.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The name of a pipeline.")]


@app.command("list")
def list_pipelines(wide: Wide = False, json: JSON = False, url: URL = "") -> None:
    """List the pipelines, and for each that cannot run the reason."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        pipelines = client.pipelines.list()
    if json:
        show.print_json(pipelines)
        return
    columns = ("pipeline", "state", "inputs", "steps", "description")
    none = "No pipelines: publish one with `celeriac pipelines publish`."
    show.print_table(columns, map(_row, pipelines), none=none, extra=("inputs", "steps"), wide=wide)


@app.command("show")
def show_pipeline(name: Name, json: JSON = False, url: URL = "") -> None:
    """Print a Mermaid flowchart of a pipeline."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        pipeline = client.pipelines.get(name)
    if json:
        show.print_json(pipeline)
    else:
        sys.stdout.write(pipeline["drawing"])


@app.command()
def run(
    name: Name,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Inputs as name=value, where the value is JSON or text, or name=@file for the content of a file, for example image=@digit.png."
        ),
    ] = None,
    service_tier: ServiceTier = None,
    webhook: Webhook = "",
    wait: Wait = 60,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Run a pipeline and print its output."""
    from celeriac_cli import show
    from celeriac_cli.api import connect
    from celeriac_cli.predict import check, wait_for

    with connect(url) as client:
        job = client.pipelines.run(name, dict(map(_input, inputs or [])), **tier_field(service_tier), **webhook_field(webhook))
        wait_for(job, wait)
    if json:
        show.print_json(job.record)
    elif job.state == "succeeded":
        show.print_json(job.record["result"])
    elif wait == 0:
        show.out().print(f"{job.id}  follow it: celeriac jobs watch {job.id}", soft_wrap=True)
    check(job.record, waited=wait > 0)


def _row(pipeline: dict[str, Any]) -> tuple[Any, ...]:
    reason = pipeline.get("reason")
    state = "UNAVAILABLE" if reason else "READY"
    return pipeline["name"], state, pipeline.get("inputs"), pipeline.get("steps"), reason or pipeline["description"]


def _input(text: str) -> tuple[str, Any]:
    import base64

    name, equals, value = text.partition("=")
    if not equals:
        raise CLIError(f"{text!r} gives no input. Write name=value, or name=@file.", Exit.USAGE)
    if value.startswith("@"):
        try:
            return name, {"b64": base64.b64encode(Path(value[1:]).read_bytes()).decode()}
        except OSError as error:
            raise CLIError(f"{value[1:]} cannot be read: {error.strerror}.", Exit.NOT_FOUND) from None
    try:
        return name, json_module.loads(value)
    except ValueError:
        return name, value
