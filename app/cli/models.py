"""`celeriac models`: what is served, and what is published into the repository."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.errors import CLIError, Exit
from app.cli.options import JSON, URL
from app.core.errors import InvalidInput
from app.core.models import ALIAS, PRODUCTION, ModelRef
from app.core.promotions import PromotionState

if TYPE_CHECKING:
    from app.broker.retention import Retention
    from app.cli.target import Target
    from app.cli.version_wait import VersionWait

app = typer.Typer(help="List, show, publish, promote and prune models.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The name of a model.")]
Root = Annotated[
    Path | None,
    typer.Option(
        "--models",
        help="Folder of the model repository.  \\[env: CELERIAC_MODELS] \\[default: that of the server that runs here, else ./models]",
        show_default=False,
    ),
]
Waits = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until a worker serves the version.")]
Timeout = Annotated[
    float | None,
    typer.Option(
        min=0, help="Seconds to wait.  \\[env: CELERIAC_PROMOTION_TIMEOUT_S] \\[default: 120]", metavar="SECONDS", show_default=False
    ),
]


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
        (model["name"], version["version"], version["state"], _aliases(model, version), _about(model, version))
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
    for promotion in entry.get("promotions", ()):
        console.print(_move(promotion))
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
        str | None,
        typer.Option(
            "--sample", help="A few rows such as callers send: a .csv or .json file, or - for standard input. Required for an estimator."
        ),
    ] = None,
    version: Annotated[str | None, typer.Option(help="Version to create.  \\[default: the next integer]", show_default=False)] = None,
    alias: Annotated[
        str | None, typer.Option(help="Alias to point to the version once a worker serves it, for example production.")
    ] = None,
    description: Annotated[str, typer.Option(help="Human-readable description.")] = "",
    format: Annotated[
        str | None,
        typer.Option(
            help="Format of an estimator: skops (runs no code when loaded), joblib or onnx.  \\[default: skops]", show_default=False
        ),
    ] = None,
    wait: Waits = True,
    timeout: Timeout = None,
    json: JSON = False,
    models: Root = None,
    url: URL = "",
) -> None:
    """Publish an estimator, or code of your own, as a new version, and wait until a worker serves it.

    An alias keeps pointing to its earlier version until a worker has loaded the new one and answered its golden sample. If no worker can,
    the alias stays, the command says why, and its exit code is not 0.
    """
    from app.cli import rows, show
    from app.cli.version_wait import VersionWait

    given = rows.read(sample, sample=True) if sample else []
    if not given and not artifact.is_dir():
        raise CLIError("an estimator is published with a sample: give --sample a few rows such as callers send", Exit.USAGE)
    if alias is not None and not ALIAS.fullmatch(alias):
        raise InvalidInput(f"{alias!r} is no alias: small letters, digits and -, as in production", pointer="/alias")
    options: dict[str, Any] = {"version": version, "description": description}
    with _writing(models, url) as target:
        if artifact.is_dir():
            from app.runtime.folders import publish_folder

            manifest = publish_folder(target.repository, name, artifact, rows=given, **options)
        else:
            from app.runtime.files import publish_file

            options |= {"format": format} if format else {}
            manifest = publish_file(target.repository, name, artifact, given, **options)
        if json:
            show.print_json(manifest.as_dict())
        else:
            show.out().print(f"published {manifest.name}@{manifest.version}")
        promotion = target.repository.request_promotion(name, alias, manifest.version) if alias else None
        _serve(VersionWait(target, name, manifest.version, promotion), wait=wait, timeout=timeout, quiet=json)


@app.command()
def promote(
    name: Name,
    version: Annotated[str, typer.Argument(help="Version that the alias is to point to.")],
    alias: Annotated[str, typer.Option(help="Alias to move.")] = PRODUCTION,
    wait: Waits = True,
    timeout: Timeout = None,
    json: JSON = False,
    models: Root = None,
    url: URL = "",
) -> None:
    """Point an alias to a version as soon as a worker serves it, and wait for that.

    If no worker can serve the version, the alias stays, the command says why, and its exit code is not 0.
    """
    from app.cli import show
    from app.cli.version_wait import VersionWait

    with _writing(models, url) as target:
        target.check(name)
        if target.served:
            _refuse_unavailable(target, name, version, alias)
        promotion = target.repository.request_promotion(name, alias, version)
        _serve(VersionWait(target, name, version, promotion), wait=wait, timeout=timeout, quiet=json)
        if json:
            state = PromotionState.SERVED if target.repository.aliases(name).get(alias) == version else PromotionState.PENDING
            show.print_json({"name": name, "alias": alias, "version": version, "state": state})


@app.command()
def prune(
    name: Annotated[str | None, typer.Argument(help="The name of a model.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every model.")] = False,
    keep: Annotated[int | None, typer.Option(min=1, help="The newest so many stay; else CELERIAC_KEEP_VERSIONS.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    json: JSON = False,
    models: Root = None,
    url: URL = "",
) -> None:
    """Remove old versions that nothing needs: no alias, job, batch, pipeline or schedule. Asks Redis which these are."""
    from app.cli import show
    from app.settings import settings

    if (name is None) is not every:
        raise CLIError("name one model, or say --all", Exit.USAGE)
    keep = settings().keep_versions if keep is None else keep
    with _retention(models, url, name) as retention:
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

    with _writing(models, "") as target:
        found = publish_samples(target.repository)
    if json:
        show.print_json([manifest.as_dict() for manifest in found])
        return
    for manifest in found:
        metrics = ", ".join(f"{name} {value:g}" for name, value in manifest.metrics.items())
        show.out().print(f"published {manifest.name}@{manifest.version} ({metrics} on held-out rows)")


def _refuse_unavailable(target: Target, name: str, version: str, alias: str) -> None:
    """Raises CLIError if workers could not serve the version."""
    from app.cli.remote import Remote

    with Remote(target.url) as api:
        try:
            entry = api.get(f"/v1/models/{name}")
        except CLIError as error:
            if error.exit == Exit.NOT_FOUND:
                return  # published a moment ago
            raise
    for one in entry["versions"]:
        # A bare artefact without a worker has no manifest yet, and no time of creation.
        if one["version"] == version and one["state"] == "UNAVAILABLE" and one["created_at"]:
            stays = f"{name}@{alias} still points to {entry['aliases'][alias]}." if alias in entry["aliases"] else ""
            told = f"{name}@{version} was not promoted, because it cannot be served: {one['reason'].rstrip('.')}. {stays}".rstrip()
            raise CLIError(told, Exit.FAILED, code="not_promoted")


def _serve(awaited: VersionWait, *, wait: bool, timeout: float | None, quiet: bool) -> None:
    """Say what becomes of a version: wait until it is served, or say who will serve it."""
    from app.cli import show
    from app.settings import settings

    target, promotion = awaited.target, awaited.promotion
    if wait and target.served:
        sentence = awaited.until_served(settings().promotion_timeout_s if timeout is None else timeout)
    elif promotion is None:
        sentence = ""
    elif promotion.state == PromotionState.SERVED:
        sentence = f"{awaited.name}@{promotion.alias} is now {awaited.version}"
    else:
        before = f"still points to {promotion.before}" if promotion.before else "does not exist yet"
        sentence = f"Pending: {awaited.name}@{promotion.alias} {before}, until a worker serves {awaited.version}."
    if sentence and not quiet:
        show.out().print(sentence)
    if target.note:
        show.note(target.note)


@contextmanager
def _retention(root: Path | None, url: str, name: str | None) -> Iterator[Retention]:
    """Of this checkout's `up`, where one runs, as `doctor` looks for it."""
    from redis.exceptions import RedisError

    from app.broker.retention import Retention
    from app.cli import lock, show
    from app.registry.pipelines import Pipelines
    from app.settings import settings
    from app.store.address import Address
    from app.store.client import connect

    known = settings()
    address = Address.parse(str(lock.read(known.state).get("redis_url") or known.redis_url.get_secret_value()), known)
    try:
        with _writing(root, url) as target, connect(address=address) as client:
            if name is not None:
                target.check(name)
            if target.elsewhere:
                show.note(target.note)
            yield Retention(target.repository, Pipelines(known.pipelines or target.repository.root / ".pipelines"), client)
    except RedisError as error:
        told = f"Redis at {address} does not tell which versions are in use ({error}): nothing more is removed"
        raise CLIError(told, Exit.UNREACHABLE) from None


@contextmanager
def _writing(root: Path | None, url: str) -> Iterator[Target]:
    """The repository to change. A volume that cannot be written is told in a sentence."""
    from app.cli.target import find

    target = find(root, url)
    try:
        yield target
    except OSError as error:
        place = error.filename or target.repository.root
        told = f"{place} cannot be written ({error.strerror}): allow it, or set CELERIAC_MODELS to another folder"
        raise CLIError(told, Exit.REFUSED) from None


def _aliases(model: dict[str, Any], version: dict[str, Any]) -> str | None:
    found = [alias for alias, target in model["aliases"].items() if target == version["version"]]
    moves = [one for one in model.get("promotions", ()) if one["version"] == version["version"] and one["alias"]]
    return ", ".join([*found, *(f"{one['alias']} ({one['state']})" for one in moves)]) or None


def _about(model: dict[str, Any], version: dict[str, Any]) -> str:
    moves = [one for one in model.get("promotions", ()) if one["version"] == version["version"]]
    return str(version.get("reason") or next((_move(one) for one in moves), model["description"]))


def _move(promotion: dict[str, Any]) -> str:
    """A move of an alias that has not happened, in a sentence."""
    which = f"alias {promotion['alias']!r}" if promotion["alias"] else "the bare name"
    if promotion["before"] == promotion["version"]:
        return f"{which} stays at {promotion['version']}: {promotion['reason']}"
    verb = "failed to move" if promotion["state"] == PromotionState.FAILED else "waits to move"
    return f"{which} {verb} from {promotion['before'] or 'nothing'} to {promotion['version']}: {promotion['reason']}"
