"""`celeriac models`: what is served, and what is published into the repository."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.exits import Exit, Trouble
from app.cli.options import JSON, URL
from app.core.models import PRODUCTION, ModelRef

if TYPE_CHECKING:
    from app.broker.retention import Retention
    from app.registry.repository import Repository

app = typer.Typer(help="List, show, publish, promote and prune models.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The name of a model.")]
Root = Annotated[Path | None, typer.Option("--models", help="The model repository; else CELERIAC_MODELS, else ./models.")]


@app.command("list")
def listed(json: JSON = False, url: URL = "") -> None:
    """List the models that the API knows, with their versions and states."""
    from app.cli import show
    from app.cli.remote import Remote

    with Remote(url) as api:
        found = api.get("/v1/models")["items"]
    if json:
        show.print_json(found)
        return
    columns = ("model", "version", "state", "aliases", "description")
    rows = [
        (model["name"], version["version"], version["state"], _aliases(model, version), version.get("reason") or model["description"])
        for model in found
        for version in model["versions"]
    ]
    show.out().print(show.table(columns, rows) if rows else "no models: publish one with `celeriac models publish`")


@app.command("show")
def show_one(
    model: Annotated[str, typer.Argument(help="name, name@alias or name@version, as in digits@production")],
    json: JSON = False,
    url: URL = "",
) -> None:
    """Show what a version takes and gives, and whether it can answer."""
    from app.cli import show
    from app.cli.remote import Remote

    ref = ModelRef.parse(model)
    with Remote(url) as api:
        entry = api.get(f"/v1/models/{ref.name}")
        which = ref.version or ref.alias or entry["default"]
        found = api.get(f"/v1/models/{ref.name}/versions/{which}")
    if json:
        show.print_json(found)
        return
    hidden = ("golden", "inputs", "outputs")  # long; the last two have tables of their own
    console = show.out()
    console.print(show.table(("field", "value"), ((name, value) for name, value in found.items() if name not in hidden)))
    for side in ("inputs", "outputs"):
        rows = ((s["name"], s["datatype"], s["shape"], "yes" if s["nullable"] else "no", s["columns"]) for s in found.get(side, ()))
        console.print(f"\n[bold]{side}[/]", show.table(("name", "datatype", "shape", "nullable", "columns"), rows), sep="\n")


@app.command()
def publish(
    name: Name,
    artifact: Annotated[
        Path,
        typer.Argument(
            help="A fitted estimator (a .skops, .joblib or .pkl file), or a folder with model.py or model.onnx, and model.yaml."
        ),
    ],
    sample: Annotated[
        str | None, typer.Option("--sample", help="A few rows such as callers send: a .csv or .json file, or -. An estimator needs them.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="Else the next whole number.")] = None,
    alias: Annotated[str | None, typer.Option(help="An alias to point to it at once, as in production.")] = None,
    description: Annotated[str, typer.Option(help="A sentence for people.")] = "",
    format: Annotated[str, typer.Option(help="Of an estimator: skops runs no code when loaded; joblib takes every one.")] = "skops",
    json: JSON = False,
    models: Root = None,
) -> None:
    """Publish an estimator, or code of your own, as a new version, once it is shown to answer the sample."""
    from app.cli import rows, show

    given = rows.read(sample, sample=True) if sample else []
    if not given and not artifact.is_dir():
        raise Trouble("an estimator is published with a sample: give --sample a few rows such as callers send", Exit.USAGE)
    options: dict[str, Any] = {"version": version, "promote": alias, "description": description}
    with _writing(models) as repository:
        if artifact.is_dir():
            from app.runtime.folders import publish_folder

            manifest = publish_folder(repository, name, artifact, rows=given, **options)
        else:
            from app.runtime.files import publish_file

            manifest = publish_file(repository, name, artifact, given, format=format, **options)
    if json:
        show.print_json(manifest.as_dict())
    else:
        show.out().print(f"published {manifest.name}@{manifest.version}" + (f", now {alias}" if alias else ""))


@app.command()
def promote(
    name: Name,
    version: Annotated[str, typer.Argument(help="The version that the alias shall point to.")],
    alias: Annotated[str, typer.Option(help="The alias to move.")] = PRODUCTION,
    json: JSON = False,
    models: Root = None,
) -> None:
    """Point an alias to a version; requests follow within seconds."""
    from app.cli import show

    with _writing(models) as repository:
        repository.promote(name, alias, version)
    if json:
        show.print_json({"name": name, "alias": alias, "version": version})
    else:
        show.out().print(f"{name}@{alias} is now {version}")


@app.command()
def prune(
    name: Annotated[str | None, typer.Argument(help="The name of a model.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every model.")] = False,
    keep: Annotated[int | None, typer.Option(min=1, help="The newest so many stay; else CELERIAC_KEEP_VERSIONS.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    json: JSON = False,
    models: Root = None,
) -> None:
    """Remove old versions that nothing needs: no alias, job, batch, pipeline or schedule. Asks Redis which these are."""
    from app.cli import show
    from app.settings import settings

    if (name is None) is not every:
        raise Trouble("name one model, or say --all", Exit.USAGE)
    keep = settings().keep_versions if keep is None else keep
    with _retention(models) as retention:
        names = [name] if name else retention.repository.models()
        found = [(one, version) for one in names for version in retention.prune(one, keep, dry_run=dry_run)]
    if json:
        show.print_json([{"name": one, "version": version} for one, version in found])
        return
    for one, version in found:
        show.out().print(f"{'would remove' if dry_run else 'removed'} {one}@{version}")
    if not found:
        show.out().print("nothing to remove" if keep else "nothing to remove: CELERIAC_KEEP_VERSIONS is 0, which keeps all")


@app.command()
def samples(json: JSON = False, models: Root = None) -> None:
    """Train and publish the sample models that the repository lacks."""
    from app.cli import show
    from app.runtime.samples import publish_samples

    with _writing(models) as repository:
        found = publish_samples(repository)
    if json:
        show.print_json([manifest.as_dict() for manifest in found])
        return
    for manifest in found:
        metrics = ", ".join(f"{name} {value:g}" for name, value in manifest.metrics.items())
        show.out().print(f"published {manifest.name}@{manifest.version} ({metrics} on held-out rows)")


@contextmanager
def _retention(root: Path | None) -> Iterator[Retention]:
    """Of this checkout's `up`, where one runs, as `doctor` looks for it."""
    from redis.exceptions import RedisError

    from app.broker.retention import Retention
    from app.cli import lock
    from app.registry.pipelines import Pipelines
    from app.settings import settings
    from app.store.address import Address
    from app.store.client import connect

    known = settings()
    address = Address.parse(str(lock.read(known.state).get("redis_url") or known.redis_url.get_secret_value()), known)
    try:
        with _writing(root) as repository, connect(address=address) as client:
            yield Retention(repository, Pipelines(known.pipelines or repository.root / ".pipelines"), client)
    except RedisError as error:
        told = f"Redis at {address} does not tell which versions are in use ({error}): nothing more is removed"
        raise Trouble(told, Exit.UNREACHABLE) from None


@contextmanager
def _writing(root: Path | None) -> Iterator[Repository]:
    """A volume that cannot be written is told in a sentence."""
    from app.registry.repository import Repository
    from app.settings import settings

    root = root or settings().models
    try:
        yield Repository(root)
    except OSError as error:
        told = f"{error.filename or root} cannot be written ({error.strerror}): allow it, or set CELERIAC_MODELS to another folder"
        raise Trouble(told, Exit.REFUSED) from None


def _aliases(model: dict[str, Any], version: dict[str, Any]) -> str | None:
    return ", ".join(alias for alias, target in model["aliases"].items() if target == version["version"]) or None
