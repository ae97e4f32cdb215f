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

WAIT_S: Final = 120.0
_POLL_S: Final = 0.2
Name = Annotated[str, typer.Argument(help="The name of a model.")]
Artifact = Annotated[
    Path,
    typer.Argument(
        help="A fitted estimator (a .skops, .joblib or .pkl file), a model of XGBoost, LightGBM or CatBoost (.ubj, .json, .txt, .cbm), a "
        "directory of MLflow, or a folder with model.py, model.onnx or an estimator, and model.yaml."
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
    artifact: Artifact,
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
    from celeriac_cli import rows

    read = None
    if sample is not None:
        source, data = rows.content(sample)
        if not rows.is_json(sample, data):
            raise CLIError(f"{source} is not JSON. Give rows as JSON, or install the server, which reads tables, too.", Exit.USAGE)
        read = rows.filled(source, rows.json_rows(data, source, None))
    send(
        name,
        artifact,
        read,
        version=version,
        alias=alias,
        description=description,
        format=format,
        wait_s=timeout if wait else 0,
        json=json,
        url=url,
    )


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
