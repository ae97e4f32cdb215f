"""`celeriac models publish` and `promote`: new versions over the API."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.options import JSON, URL

if TYPE_CHECKING:
    from celeriac import Client
    from celeriac_cli.mlflow import Registry

WAIT_S: Final = 120.0
_POLL_S: Final = 0.2
Name = Annotated[str, typer.Argument(help="The name of a model.")]
Artifact = Annotated[
    Path | None,
    typer.Argument(
        help="A fitted estimator (a .skops, .joblib or .pkl file), a model of XGBoost, LightGBM or CatBoost (.ubj, .json, .txt, .cbm), a "
        "directory of MLflow, or a folder with model.py, model.onnx, a program of PyTorch or an estimator, and model.yaml.",
        show_default=False,
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="A model in the registry of the MLflow server in MLFLOW_TRACKING_URI, in place of ARTIFACT: models:/NAME@ALIAS or models:/NAME/VERSION.",
        metavar="REFERENCE",
        show_default=False,
    ),
]
Version = Annotated[str | None, typer.Option(help="Version to create.  \\[default: the next integer]", show_default=False)]
Alias = Annotated[str | None, typer.Option(help="Alias to point to the version once a worker serves it, for example production.")]
Description = Annotated[str, typer.Option(help="Human-readable description.")]
Format = Annotated[
    str | None,
    typer.Option(help="Format of an estimator: skops (runs no code when loaded), joblib or onnx.  \\[default: skops]", show_default=False),
]
Waits = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until a worker serves the version.")]
Timeout = Annotated[float, typer.Option(min=0, help="Seconds to wait.", metavar="SECONDS")]


def publish(
    name: Name,
    artifact: Artifact = None,
    source: From = None,
    sample: Annotated[
        str | None,
        typer.Option("--sample", help="A few rows such as callers send: a .json file, or - for standard input. Required for an estimator."),
    ] = None,
    version: Version = None,
    alias: Alias = None,
    description: Description = "",
    format: Format = None,
    wait: Waits = True,
    timeout: Timeout = WAIT_S,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Publish an estimator, or your own code as a new version, and wait until a worker serves it.

    The alias moves when a worker has loaded the version and passed its smoke test. If no worker can, the alias stays, the command
    prints the reason, and its exit code is not 0.
    """
    from celeriac_cli import mlflow, rows

    read = None
    if sample is not None:
        source, data = rows.content(sample)
        if not rows.is_json(sample, data):
            raise CLIError(f"{source} is not JSON. Give rows as JSON, or install the server, which reads tables, too.", Exit.USAGE)
        read = rows.filled(source, rows.json_rows(data, source, None))
    with mlflow.located(artifact, source) as (path, origin):
        send(
            name, path, read, version=version, alias=alias, description=description or origin, format=format,
            wait_s=timeout if wait else 0, json=json, url=url,
        )  # fmt: skip


def follow(
    name: Name,
    source: Annotated[
        str, typer.Option("--from", help="Alias in the registry of MLFLOW_TRACKING_URI: models:/NAME@ALIAS.", metavar="REFERENCE")
    ],
    alias: Annotated[str, typer.Option(help="Alias to move.")] = "production",
    every: Annotated[float, typer.Option(min=1, help="Seconds between two looks.", metavar="SECONDS")] = 60.0,
    timeout: Timeout = WAIT_S,
    once: Annotated[bool, typer.Option("--once", help="Look once, and exit.")] = False,
    url: URL = "",
) -> None:
    """Publish each version that an alias of an MLflow registry points to, and point an alias to it.

    Runs until it is stopped. A version that was published before is promoted again. Failures are printed, and tried again at the next look,
    unless the version cannot be published.
    """
    from celeriac_cli import show
    from celeriac_cli.mlflow import connected

    with connected() as registry:
        # A reference or a server that is wrong from the start ends the command.
        registered = registry.resolve(source)
        settled: tuple[str, str] | None = None
        while True:
            try:
                if registered != settled:
                    _take_over(registry, *registered, name=name, alias=alias, wait_s=timeout, url=url)
                settled = registered
            except CLIError as error:
                if once:
                    raise
                show.note(error.sentence)
                if error.exit is Exit.USAGE:
                    # The version cannot be published, however often it is sent. The next one may.
                    settled = registered
            if once:
                return
            time.sleep(every)
            try:
                registered = registry.resolve(source)
            except CLIError as error:
                show.note(error.sentence)


def _take_over(registry: Registry, registered: str, version: str, *, name: str, alias: str, wait_s: float, url: str) -> None:
    """Let an alias point to the version that has the files of a registered model, which is published if there is none."""
    from celeriac_cli import mlflow, show
    from celeriac_cli.api import connect

    description = mlflow.described(registered, version)
    with connect(url) as client:
        present = described(client, name, description)
    if present is None:
        with mlflow.downloaded(registry, registered, version) as folder:
            send(
                name, folder, None, version=None, alias=alias, description=description, format=None, wait_s=wait_s, json=False, url=url,
            )  # fmt: skip
        return
    with connect(url) as client:
        if client.models.get(name)["aliases"].get(alias) != present:
            client.models.promote(name, present, alias)
        show.out().print(served(client, name, present, alias, wait_s))


def described(client: Client, name: str, description: str) -> str | None:
    """Return the newest version of a model that has a description, or None."""
    from celeriac import NotFoundError

    try:
        versions = [version["version"] for version in client.models.get(name)["versions"]]
    except NotFoundError:
        return None
    return next((version for version in reversed(versions) if client.models.version(name, version).get("description") == description), None)


def send(
    name: str,
    artifact: Path,
    sample: Sequence[Any] | None,
    *,
    version: str | None,
    alias: str | None,
    description: str,
    format: str | None,
    wait_s: float,
    json: bool,
    url: str,
) -> None:
    """Publish over the API, print the version, and wait up to `wait_s` until it is served. Raises CLIError."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        try:
            published = client.models.publish(
                name, artifact, sample=sample, alias=alias, version=version, description=description, format=format, progress=not json
            )
        except (ValueError, OSError) as error:
            raise CLIError(str(error), Exit.USAGE) from None
        if json:
            show.print_json({"name": published.name, "version": published.version, "format": published.format, "alias": alias})
        else:
            show.out().print(f"published {published.name}@{published.version} ({published.format})")
        sentence = served(client, name, published.version, alias, wait_s) if wait_s else ""
        if sentence and not json:
            show.out().print(sentence)


def promote(
    name: Name,
    version: Annotated[str, typer.Argument(help="Version that the alias will point to.")],
    alias: Annotated[str, typer.Option(help="Alias to move.")] = "production",
    wait: Waits = True,
    timeout: Timeout = WAIT_S,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Point an alias to a version as soon as a worker serves it, and wait for that.

    If no worker can serve the version, the alias stays, the command prints the reason, and its exit code is not 0.
    """
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        promotion = client.models.promote(name, version, alias)
        sentence = served(client, name, version, alias, timeout) if wait else f"{name}@{alias}: {promotion['state']}"
    if json:
        show.print_json({"name": name, "alias": alias, "version": version, "state": "served" if wait else promotion["state"]})
    else:
        show.out().print(sentence)


def served(client: Client, name: str, version: str, alias: str | None, seconds: float) -> str:
    """Wait until a worker serves a version, and its alias has moved. Returns a sentence that says so.

    Raises CLIError if the version cannot be served, or is not served after `seconds`.
    """
    which, end = f"{name}@{version}", time.monotonic() + seconds
    while True:
        entry = client.models.get(name)
        record = next((record for record in entry["versions"] if record["version"] == version), {"state": "", "reason": ""})
        failed = [promotion for promotion in entry["promotions"] if _failed(promotion, alias, version)]
        if record["state"] == "UNAVAILABLE":
            raise CLIError(f"{which} cannot be served: {record['reason']}", Exit.FAILED, code="model_unavailable")
        if failed:
            raise CLIError(f"{which} was not promoted: {failed[0]['reason']}", Exit.FAILED, code="not_promoted")
        if record["state"] == "READY" and alias is None:
            return f"{which} is served."
        if record["state"] == "COLD" and alias is None and version not in (entry["default"], entry["versions"][-1]["version"]):
            return f"{which} is loaded by its first request."
        if record["state"] == "READY" and entry["aliases"].get(alias) == version:
            return f"{name}@{alias} is now {version}"
        if time.monotonic() > end:
            message = f"{which} is published. No worker serves it after {seconds:g} s: it is {record['state'] or 'not listed'}."
            raise CLIError(message, Exit.NOT_NOW, code="model_unavailable")
        time.sleep(_POLL_S)


def _failed(promotion: dict[str, Any], alias: str | None, version: str) -> bool:
    return promotion["state"] == "failed" and (promotion["alias"], promotion["version"]) == (alias, version)
