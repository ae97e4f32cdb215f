"""`celeriac models`: what is published into the repository, in a folder that this machine can write, or else over the API."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.models import app
from celeriac_cli.options import JSON, URL, Decimal, Delimiter, Encoding, Header, NaValues, Quote, table_options
from celeriac_cli.publish import Alias, Artifact, Description, Format, From, Name, Version, Waits, send

from app.cli.options import Root
from app.core.errors import InvalidInput
from app.core.models import PRODUCTION, check_alias
from app.core.promotions import PromotionState
from app.core.tables import TableOptions

if TYPE_CHECKING:
    from app.broker.retention import Retention
    from app.cli.target import Target
    from app.cli.version_wait import VersionWait

Timeout = Annotated[
    float | None,
    typer.Option(
        min=0, help="Seconds to wait.  \\[env: CELERIAC_PROMOTION_TIMEOUT_S] \\[default: 120]", metavar="SECONDS", show_default=False
    ),
]


def add_commands() -> None:
    """Add the commands of this file to `celeriac models`."""
    app.info.help = "List, show, publish, promote and prune models."
    for command in (publish, promote, prune, samples):
        app.command()(command)


def publish(
    name: Name,
    artifact: Artifact = None,
    source: From = None,
    sample: Annotated[
        str | None,
        typer.Option(
            "--sample", help="A few rows such as callers send: a .csv or .json file, or - for standard input. Required for an estimator."
        ),
    ] = None,
    version: Version = None,
    alias: Alias = None,
    description: Description = "",
    format: Format = None,
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            help="Datatype of a column of the sample, where its values do not show it: zip=BYTES for codes of digits. May be repeated.",
            metavar="COLUMN=DATATYPE",
            show_default=False,
        ),
    ] = None,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    quote: Quote = None,
    encoding: Encoding = None,
    na_values: NaValues = None,
    header: Header = None,
    wait: Waits = True,
    timeout: Timeout = None,
    json: JSON = False,
    models: Root = None,
    url: URL = "",
) -> None:
    """Publish an estimator, or your own code as a new version, and wait until a worker serves it.

    It is written into the folder of --models, or that of a server on this machine. It is sent over the API of a server elsewhere.

    The alias moves when a worker has loaded the version and passed its smoke test. If no worker can, the alias stays, the command
    prints the reason, and its exit code is not 0.
    """
    from celeriac_cli import show
    from celeriac_cli.mlflow import located

    from app.cli import sample as sample_rows
    from app.cli.target import remote
    from app.cli.version_wait import VersionWait
    from app.settings import settings

    if artifact is not None and not artifact.exists():
        raise CLIError(f"{artifact} does not exist.", Exit.USAGE)
    reading = table_options(delimiter, decimal, quote, encoding, na_values, header)
    if (types or reading) and not sample:
        raise CLIError("--type and the CSV options describe a sample. Give --sample too.", Exit.USAGE)
    rows = sample_rows.read(sample, sample_rows.declarations(types or ()), TableOptions.from_dict(reading)) if sample else []
    if not rows and artifact is not None and not artifact.is_dir():
        raise CLIError(
            f"{artifact} needs --sample with a few rows such as callers send. Only a folder with model.yaml can do without.", Exit.USAGE
        )
    if alias is not None:
        check_alias(alias)
    with located(artifact, source) as (path, origin):
        if server := remote(models, url):
            wait_s = (settings().promotion_timeout_s if timeout is None else timeout) if wait else 0.0
            send(
                name, path, rows or None, version=version, alias=alias, description=description or origin, format=format, wait_s=wait_s, json=json, url=server,
            )  # fmt: skip
            return
        options: dict[str, Any] = {
            "version": version,
            "description": description or origin,
            "timeout_s": settings().load_timeout_s,
            "format": format,
        }
        with _writing(models, url) as target:
            if not json:
                show.note(f"Loading {path}, which may take up to {options['timeout_s']:g} s (CELERIAC_LOAD_TIMEOUT_S).")
            if path.is_dir():
                from app.runtime.folders import publish_any

                manifest = publish_any(target.repository, name, path, rows=rows, **options)
            else:
                from app.runtime.files import publish_file

                try:
                    manifest = publish_file(target.repository, name, path, rows, **options)
                except InvalidInput as error:
                    raise InvalidInput(error.detail + sample_rows.hint_about_numbers(error, rows), pointer=error.pointer) from None
            if json:
                show.print_json(manifest.as_dict())
            else:
                show.out().print(f"published {manifest.name}@{manifest.version} ({manifest.format})")
            promotion = target.repository.request_promotion(name, alias, manifest.version) if alias else None
            _serve(VersionWait(target, name, manifest.version, promotion), wait=wait, timeout=timeout, quiet=json)


def promote(
    name: Name,
    version: Annotated[str, typer.Argument(help="Version that the alias will point to.")],
    alias: Annotated[str, typer.Option(help="Alias to move.")] = PRODUCTION,
    wait: Waits = True,
    timeout: Timeout = None,
    json: JSON = False,
    models: Root = None,
    url: URL = "",
) -> None:
    """Point an alias to a version as soon as a worker serves it, and wait for that.

    If no worker can serve the version, the alias stays, the command prints the reason, and its exit code is not 0.
    """
    from celeriac_cli import publish as over_api
    from celeriac_cli import show

    from app.cli.target import remote
    from app.cli.version_wait import VersionWait
    from app.settings import settings

    if server := remote(models, url):
        seconds = settings().promotion_timeout_s if timeout is None else timeout
        over_api.promote(name, version, alias, wait, seconds, json, server)
        return
    with _writing(models, url) as target:
        target.check(name)
        if target.served:
            _refuse_unavailable(target, name, version, alias)
        promotion = target.repository.request_promotion(name, alias, version)
        _serve(VersionWait(target, name, version, promotion), wait=wait, timeout=timeout, quiet=json)
        if json:
            state = PromotionState.SERVED if target.repository.aliases(name).get(alias) == version else PromotionState.PENDING
            show.print_json({"name": name, "alias": alias, "version": version, "state": state})


def prune(
    name: Annotated[str | None, typer.Argument(help="The name of a model.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All models.")] = False,
    keep: Annotated[
        int | None, typer.Option(min=1, help="Number of newest versions to keep.  \\[env: CELERIAC_KEEP_VERSIONS]", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be removed, and remove nothing.")] = False,
    json: JSON = False,
    models: Root = None,
    url: URL = "",
) -> None:
    """Remove old versions that no alias, job, batch, pipeline or schedule needs. Reads from Redis which these are."""
    from celeriac_cli import show

    from app.settings import settings

    if (name is None) is not every:
        raise CLIError("Name one model, or pass --all.", Exit.USAGE)
    keep = settings().keep_versions if keep is None else keep
    with _retention(models, url, name) as retention:
        names = [name] if name else retention.repository.models()
        removed = [(model, version) for model in names for version in retention.prune(model, keep, dry_run=dry_run)]
    if json:
        show.print_json([{"name": model, "version": version} for model, version in removed])
        return
    for model, version in removed:
        show.out().print(f"{'would remove' if dry_run else 'removed'} {model}@{version}")
    if not removed:
        show.out().print("nothing to remove" if keep else "nothing to remove: CELERIAC_KEEP_VERSIONS is 0, which keeps all")


def samples(json: JSON = False, models: Root = None) -> None:
    """Train and publish the sample models that are missing in the repository."""
    from celeriac_cli import show

    from app.samples.models import publish_samples

    with _writing(models, "") as target:
        manifests = publish_samples(target.repository)
    if json:
        show.print_json([manifest.as_dict() for manifest in manifests])
        return
    for manifest in manifests:
        metrics = ", ".join(f"{name} {value:g}" for name, value in manifest.metrics.items())
        show.out().print(f"published {manifest.name}@{manifest.version} ({metrics} on held-out rows)")


def _refuse_unavailable(target: Target, name: str, version: str, alias: str) -> None:
    """Raises CLIError if workers could not serve the version."""
    from celeriac import NotFoundError
    from celeriac_cli.api import connect

    with connect(target.url) as client:
        try:
            model = client.models.get(name)
        except NotFoundError:
            return  # published a moment ago
    for record in model["versions"]:
        # A bare artifact without a worker has no manifest yet, and no time of creation.
        if record["version"] == version and record["state"] == "UNAVAILABLE" and record["created_at"]:
            stays = f"{name}@{alias} still points to {model['aliases'][alias]}." if alias in model["aliases"] else ""
            reason = record["reason"].rstrip(".")
            message = f"{name}@{version} was not promoted, because it cannot be served: {reason}. {stays}".rstrip()
            raise CLIError(message, Exit.FAILED, code="not_promoted")


def _serve(version: VersionWait, *, wait: bool, timeout: float | None, quiet: bool) -> None:
    """Wait until a version is served, or print who will serve it."""
    from celeriac_cli import show

    from app.settings import settings

    target, promotion = version.target, version.promotion
    if wait and target.served:
        seconds = settings().promotion_timeout_s if timeout is None else timeout
        if not quiet:
            show.note(f"Waiting up to {seconds:g} s until a worker serves {version.which}.")
        sentence = version.until_served(seconds)
    elif promotion is None:
        sentence = ""
    elif promotion.state == PromotionState.SERVED:
        sentence = f"{version.name}@{promotion.alias} is now {version.version}"
    else:
        before = f"still points to {promotion.before}" if promotion.before else "does not exist yet"
        sentence = f"Pending: {version.name}@{promotion.alias} {before}, until a worker serves {version.version}."
    if sentence and not quiet:
        show.out().print(sentence)
    if target.note:
        show.note(target.note)


@contextmanager
def _retention(root: str | None, url: str, name: str | None) -> Iterator[Retention]:
    """Retention on the Redis in CELERIAC_REDIS_URL, or else of the `celeriac up` that runs in this folder."""
    from celeriac_cli import running, show
    from redis.exceptions import RedisError

    from app.broker.retention import Retention
    from app.registry.opening import open_pipelines
    from app.settings import settings
    from app.store.redis.client import connect
    from app.store.redis.url import local_address

    config = settings()
    address = local_address(config, running.read(config.state))
    try:
        with _writing(root, url) as target, connect(address=address) as client:
            if name is not None:
                target.check(name)
            if target.elsewhere:
                show.note(target.note)
            located = config.model_copy(update={"models": target.location})
            yield Retention(target.repository, open_pipelines(located, target.repository), client)
    except RedisError as error:
        message = f"Cannot read from Redis at {address} which versions are in use ({error}). Nothing more was removed."
        raise CLIError(message, Exit.UNREACHABLE) from None


@contextmanager
def _writing(root: str | None, url: str) -> Iterator[Target]:
    """The repository to change. Raises CLIError if it cannot be written. SIGTERM leaves nothing incomplete in it."""
    from app.cli.target import find

    target = find(root, url)
    previous = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield target
    except OSError as error:
        place = error.filename or target.repository.root
        message = f"{place} cannot be written ({error.strerror}). Allow it, or set CELERIAC_MODELS to another folder."
        raise CLIError(message, Exit.REFUSED) from None
    finally:
        signal.signal(signal.SIGTERM, previous)
