"""`celeriac pipelines`: which there are, how they look, and a run of one."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.exits import Exit, Trouble
from app.cli.options import JSON, URL, Wait, Webhook, hook

if TYPE_CHECKING:
    from app.registry.pipelines import Pipelines

app = typer.Typer(help="List, show, publish and run pipelines.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The name of a pipeline.")]
Root = Annotated[Path | None, typer.Option("--models", help="The model repository; else CELERIAC_MODELS, else ./models.")]


@app.command("list")
def listed(json: JSON = False, url: URL = "") -> None:
    """List the pipelines, and why one cannot be run."""
    from app.cli import show
    from app.cli.remote import Remote

    with Remote(url) as api:
        found = api.get("/v1/pipelines")["items"]
    if json:
        show.print_json(found)
        return
    rows = ((one["name"], one.get("inputs"), one.get("steps"), one.get("reason") or one["description"]) for one in found)
    show.out().print(show.table(("pipeline", "inputs", "steps", "description"), rows) if found else "no pipelines")


@app.command("show")
def show_one(name: Name, json: JSON = False, url: URL = "") -> None:
    """Print a Mermaid flowchart of a pipeline."""
    from app.cli import show
    from app.cli.remote import Remote

    with Remote(url) as api:
        found = api.get(f"/v1/pipelines/{name}")
    if json:
        show.print_json(found)
    else:
        sys.stdout.write(found["drawing"])


@app.command()
def run(
    name: Name,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(help="name=value, the value as JSON or text; name=@file for the bytes of a file, as in image=@digit.png."),
    ] = None,
    webhook: Webhook = "",
    wait: Wait = 60,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Run a pipeline, and print what it answers."""
    from app.cli import show
    from app.cli.predict import check
    from app.cli.remote import Remote

    with Remote(url) as api:
        body = {"pipeline": name, "inputs": dict(map(_input, inputs or []))}
        job = api.wait(api.post("/v1/jobs", body | hook(webhook)), wait)
    if json:
        show.print_json(job)
    elif job["state"] == "succeeded":
        show.print_json(job["result"])
    elif wait == 0:
        show.out().print(f"{job['id']}  follow it: celeriac jobs watch {job['id']}", soft_wrap=True)
    check(job, waited=wait > 0)


@app.command()
def publish(
    file: Annotated[Path, typer.Argument(help="The pipeline, NAME.yaml.")],
    json: JSON = False,
    models: Root = None,
) -> None:
    """Publish a pipeline, or another in its place; a mistake is told with its line."""
    from app.cli import show

    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Trouble(f"{file} cannot be read: {error}", Exit.NOT_FOUND) from None
    with _writing(models) as folder:
        pipeline = folder.publish(file.stem, text)
    if json:
        show.print_json({"name": pipeline.name, "steps": list(pipeline.steps)})
    else:
        show.out().print(f"published {pipeline.name} ({', '.join(pipeline.steps)})")


@app.command()
def samples(json: JSON = False, models: Root = None) -> None:
    """Publish the sample pipelines that are lacking, and train the models that they ask."""
    from app.cli import show
    from app.registry.repository import Repository
    from app.runtime.sample_pipelines import publish_sample_pipelines
    from app.settings import settings

    with _writing(models) as folder:
        found = publish_sample_pipelines(Repository(models or settings().models), folder)
    if json:
        show.print_json(found)
    else:
        show.out().print(f"published {', '.join(found)}" if found else "they are there already")


@contextmanager
def _writing(models: Path | None) -> Iterator[Pipelines]:
    """A volume that cannot be written is told in a sentence."""
    from app.registry.pipelines import Pipelines
    from app.settings import settings

    chosen = settings().model_copy(update={"models": models}) if models else settings()
    try:
        yield Pipelines(chosen.pipelines_folder)
    except OSError as error:
        told = f"{error.filename} cannot be written ({error.strerror}): allow it, or set CELERIAC_PIPELINES to another folder"
        raise Trouble(told, Exit.REFUSED) from None


def _input(text: str) -> tuple[str, Any]:
    import base64

    name, equals, value = text.partition("=")
    if not equals:
        raise Trouble(f"{text!r} gives no input: write name=value, or name=@file", Exit.USAGE)
    if value.startswith("@"):
        try:
            return name, {"b64": base64.b64encode(Path(value[1:]).read_bytes()).decode()}
        except OSError as error:
            raise Trouble(f"{value[1:]} cannot be read: {error.strerror}", Exit.NOT_FOUND) from None
    try:
        return name, json_module.loads(value)
    except ValueError:
        return name, value
