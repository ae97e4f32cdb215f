"""`celeriac pipelines`: list, show, publish and run pipelines."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.errors import CLIError, Exit
from app.cli.options import JSON, URL, Wait, Webhook, Wide, hook

if TYPE_CHECKING:
    from app.core.pipelines import Pipeline
    from app.registry.pipelines import Pipelines

app = typer.Typer(help="List, show, publish and run pipelines.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The name of a pipeline.")]
Root = Annotated[
    Path | None,
    typer.Option("--models", help="Folder of the model repository.  \\[env: CELERIAC_MODELS] \\[default: ./models]", show_default=False),
]


@app.command("list")
def listed(wide: Wide = False, json: JSON = False, url: URL = "") -> None:
    """List the pipelines, and for each that cannot be run the reason."""
    from app.cli import show
    from app.cli.remote import Remote

    with Remote(url) as api:
        found = api.get("/v1/pipelines")["items"]
    if json:
        show.print_json(found)
        return
    columns = ("pipeline", "state", "inputs", "steps", "description")
    rows = [
        (
            one["name"],
            "UNAVAILABLE" if one.get("reason") else "READY",
            one.get("inputs"),
            one.get("steps"),
            one.get("reason") or one["description"],
        )
        for one in found
    ]
    show.print_table(
        columns, rows, none="No pipelines: publish one with `celeriac pipelines publish`.", extra=("inputs", "steps"), wide=wide
    )


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
        typer.Argument(
            help="Inputs as name=value, where the value is JSON or text, or name=@file for the content of a file, for example image=@digit.png."
        ),
    ] = None,
    webhook: Webhook = "",
    wait: Wait = 60,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Run a pipeline and print its output."""
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
    """Publish a pipeline, or replace it. Warns about steps whose model or function does not exist."""
    from app.cli import show

    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CLIError(f"{file} cannot be read: {error}", Exit.NOT_FOUND) from None
    with _writing(models) as folder:
        pipeline = folder.publish(file.stem, text)
        warnings = list(_missing(pipeline, models))
    if json:
        show.print_json({"name": pipeline.name, "steps": list(pipeline.steps), "warnings": warnings})
        return
    show.out().print(f"published {pipeline.name} ({', '.join(pipeline.steps)})")
    for warning in warnings:
        show.warning(warning)


@app.command()
def samples(json: JSON = False, models: Root = None) -> None:
    """Publish the sample pipelines that are missing, and train the models that they use."""
    from app.cli import show
    from app.registry.repository import Repository
    from app.runtime.sample_pipelines import publish_sample_pipelines
    from app.settings import settings

    with _writing(models) as folder:
        found = publish_sample_pipelines(Repository(models or settings().models), folder)
    if json:
        show.print_json(found)
    else:
        show.out().print(f"published {', '.join(found)}" if found else "The sample pipelines exist already.")


def _missing(pipeline: Pipeline, models: Path | None) -> Iterator[str]:
    """What the steps need and this machine does not have."""
    from celeriac._authoring import STEPS

    from app.core.errors import CeleriacError
    from app.core.models import ModelRef
    from app.registry.repository import Repository
    from app.settings import settings
    from app.worker.works import load

    repository = Repository(models or settings().models)
    try:
        load(settings().imports)
    except Exception as error:  # noqa: BLE001 - modules of the user raise what they like
        yield f"CELERIAC_IMPORTS cannot be imported ({error}): functions of steps were not checked"
        return
    for step in pipeline.steps.values():
        if step.run and step.run not in STEPS:
            yield f"Step {step.name!r} needs the function {step.run!r}, which no module in CELERIAC_IMPORTS registers."
        if step.model:
            try:
                repository.resolve(ModelRef.parse(step.model))
            except CeleriacError as error:
                yield f"Step {step.name!r} needs the model {step.model!r}: {error.detail}"


@contextmanager
def _writing(models: Path | None) -> Iterator[Pipelines]:
    """Raises CLIError if the folder cannot be written."""
    from app.registry.pipelines import Pipelines
    from app.settings import settings

    chosen = settings().model_copy(update={"models": models}) if models else settings()
    try:
        yield Pipelines(chosen.pipelines_folder)
    except OSError as error:
        told = f"{error.filename} cannot be written ({error.strerror}): allow it, or set CELERIAC_PIPELINES to another folder"
        raise CLIError(told, Exit.REFUSED) from None


def _input(text: str) -> tuple[str, Any]:
    import base64

    name, equals, value = text.partition("=")
    if not equals:
        raise CLIError(f"{text!r} gives no input: write name=value, or name=@file", Exit.USAGE)
    if value.startswith("@"):
        try:
            return name, {"b64": base64.b64encode(Path(value[1:]).read_bytes()).decode()}
        except OSError as error:
            raise CLIError(f"{value[1:]} cannot be read: {error.strerror}", Exit.NOT_FOUND) from None
    try:
        return name, json_module.loads(value)
    except ValueError:
        return name, value
