"""`celeriac pipelines`: what is published into the folder of pipelines, which this machine can write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.options import JSON
from celeriac_cli.pipelines import app

from app.cli.options import Root

if TYPE_CHECKING:
    from app.core.pipelines import Pipeline
    from app.registry.pipelines import Pipelines
    from app.registry.repository import Repository


def add_commands() -> None:
    """Add the commands of this file to `celeriac pipelines`."""
    app.info.help = "List, show, publish and run pipelines."
    for command in (publish, samples):
        app.command()(command)


def publish(
    file: Annotated[Path, typer.Argument(help="The pipeline, NAME.yaml.")],
    json: JSON = False,
    models: Root = None,
) -> None:
    """Publish a pipeline, or replace it. Warns about steps whose model or function does not exist."""
    from celeriac_cli import show

    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CLIError(f"{file} cannot be read: {error}", Exit.NOT_FOUND) from None
    with _writing(models) as (folder, repository):
        pipeline = folder.publish(file.stem, text)
        warnings = list(_missing(pipeline, repository))
    if json:
        show.print_json({"name": pipeline.name, "steps": list(pipeline.steps), "warnings": warnings})
        return
    show.out().print(f"published {pipeline.name} ({', '.join(pipeline.steps)})")
    for warning in warnings:
        show.warning(warning)


def samples(json: JSON = False, models: Root = None) -> None:
    """Publish the sample pipelines that are missing, and train the models that they use."""
    from celeriac_cli import show

    from app.samples.pipelines import publish_sample_pipelines

    with _writing(models) as (folder, repository):
        published = publish_sample_pipelines(repository, folder)
    if json:
        show.print_json(published)
    else:
        show.out().print(f"published {', '.join(published)}" if published else "The sample pipelines exist already.")


def _missing(pipeline: Pipeline, repository: Repository) -> Iterator[str]:
    """Warnings about models and functions that steps need and this machine does not have."""
    from celeriac._authoring import STEPS

    from app.core.errors import CeleriacError
    from app.core.models import ModelRef
    from app.settings import settings
    from app.worker.imports import load

    try:
        load(settings().imports)
    except Exception as error:  # noqa: BLE001 - modules of the user may raise anything
        yield f"CELERIAC_IMPORTS cannot be imported ({error}): the functions of steps were not checked"
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
def _writing(models: str | None) -> Iterator[tuple[Pipelines, Repository]]:
    """The folder of pipelines and the model repository: those of the server that runs here, unless an option or a setting names others.

    Raises CLIError if the folder cannot be written.
    """
    from app.cli.target import find
    from app.registry.opening import open_pipelines
    from app.settings import settings

    target = find(models, "")
    config = settings().model_copy(update={"models": target.location})
    try:
        yield open_pipelines(config, target.repository), target.repository
    except OSError as error:
        message = f"{error.filename} cannot be written ({error.strerror}). Allow it, or set CELERIAC_PIPELINES to another folder."
        raise CLIError(message, Exit.REFUSED) from None
