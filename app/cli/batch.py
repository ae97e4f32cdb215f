"""`celeriac batch`: a file of rows in, a file of answers out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.options import JSON, URL, Decimal, Delimiter, Encoding, Header, NaValues, Quote, Webhook, Wide, hook, table_options
from app.core.batches import Status

app = typer.Typer(help="Predict files; list, show, watch, cancel and resume batches.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="The id of a batch.")]


@app.command()
def run(
    model: Annotated[str, typer.Argument(help="Model reference: name, name@alias or name@version.")],
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="CSV, JSONL, NPY or Parquet.")],
    output: Annotated[
        Path, typer.Argument(help="File for the predictions; its extension selects the format: .csv, .jsonl, .npy or .parquet.")
    ],
    method: Annotated[str | None, typer.Option(help="Method to call.  \\[default: the model's first]", show_default=False)] = None,
    columns: Annotated[
        str | None, typer.Option(help="Columns of the file in the order of the model's inputs, separated by commas.")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(help="Columns to copy to the output, separated by commas.  \\[default: all that are not inputs]", show_default=False),
    ] = None,
    owner: Annotated[str, typer.Option(help="Owner of the batch. Owners take turns.")] = "",
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    quote: Quote = None,
    encoding: Encoding = None,
    na_values: NaValues = None,
    header: Header = None,
    webhook: Webhook = "",
    json: JSON = False,
    url: URL = "",
) -> None:
    """Upload a file, predict its rows and download the predictions. Errors of single rows go to OUTPUT.errors.jsonl."""
    from app.cli.errors import CLIError, Exit
    from app.cli.remote import Remote

    if not source.is_file():
        raise CLIError(f"The file {source} does not exist or is not a regular file.", Exit.NOT_FOUND)
    if not output.absolute().parent.is_dir():
        raise CLIError(f"the folder {output.absolute().parent} does not exist", Exit.NOT_FOUND)
    wanted = {"method": method, "columns": _names(columns), "keep": _names(keep), "format": _format(output), "owner": owner}
    wanted |= table_options(delimiter, decimal, quote, encoding, na_values, header)
    with Remote(url) as api:
        uploaded = api.upload(source)["id"]
        order = {"model": model, "input": uploaded} | hook(webhook) | {name: value for name, value in wanted.items() if value is not None}
        try:
            batch = _followed(api, api.post("/v1/batches", order), shown=not json)
            if batch["output_file_id"]:
                api.download(f"/v1/files/{batch['output_file_id']}/content", output)
            errors = output.with_name(f"{output.name}.errors.jsonl") if batch["error_file_id"] else None
            if errors:
                api.download(f"/v1/files/{batch['error_file_id']}/content", errors)
        finally:
            api.delete(f"/v1/files/{uploaded}")
    _print(batch, as_json=json)
    _check(batch, f"{errors} says why" if errors else "")


@app.command("list")
def listed(
    limit: Annotated[int, typer.Option(min=1, max=100, help="Number of batches to list, the newest first.")] = 20,
    wide: Wide = False,
    json: JSON = False,
    url: URL = "",
) -> None:
    """List batches, the newest first."""
    from app.cli import show
    from app.cli.remote import Remote

    with Remote(url) as api:
        found = api.get("/v1/batches", limit=limit)["data"]
    if json:
        show.print_json(found)
        return
    columns = ("id", "status", "rows", "completed", "failed", "rows/s", "owner", "model")
    rows = (
        (
            one["id"],
            one["status"],
            *one["request_counts"].values(),
            one["progress"]["rows_per_s"],
            one["owner"],
            f"{one['model']}@{one['version']}",
        )
        for one in found
    )
    show.print_table(columns, rows, none="No batches.", extra=("owner", "rows/s", "rows"), wide=wide)


@app.command("show")
def shown(id: Id, json: JSON = False, url: URL = "") -> None:
    """Show one batch, its counts and its errors."""
    from app.cli.remote import Remote

    with Remote(url) as api:
        _print(api.get(f"/v1/batches/{id}"), as_json=json)


@app.command()
def watch(id: Id, json: JSON = False, url: URL = "") -> None:
    """Follow one batch until it ends. The exit code is 0 if every row was answered."""
    from app.cli.remote import Remote

    with Remote(url) as api:
        batch = _followed(api, api.get(f"/v1/batches/{id}"), shown=not json)
    _print(batch, as_json=json)
    _check(batch, "")


@app.command()
def cancel(id: Id, json: JSON = False, url: URL = "") -> None:
    """Cancel a batch. Finished rows are kept, and `resume` continues from there."""
    _post(id, "cancel", url, as_json=json)


@app.command()
def resume(id: Id, json: JSON = False, url: URL = "") -> None:
    """Continue a batch that failed, expired or was cancelled."""
    _post(id, "resume", url, as_json=json)


def _post(id: str, what: str, url: str, *, as_json: bool) -> None:
    from app.cli.remote import Remote

    with Remote(url) as api:
        _print(api.post(f"/v1/batches/{id}/{what}", None), as_json=as_json)


def _followed(api: Any, batch: dict[str, Any], *, shown: bool) -> dict[str, Any]:
    """The batch when it has ended; a bar on standard error tells how far it is."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not shown,
    )
    with bar:
        task = bar.add_task(batch["status"], total=None, rate="")
        for now in _changes(api, batch):
            batch = now
            counts, rate = now["request_counts"], now["progress"]["rows_per_s"]
            bar.update(
                task,
                description=now["status"],
                total=counts["total"] or None,
                completed=counts["completed"] + counts["failed"],
                rate=f"{rate:,.0f} rows/s" if rate else "",
            )
    return batch


def _changes(api: Any, batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield batch
    # A stream may end early, as when the API is replaced: ask again, and go on where the batch stands.
    while not Status(batch["status"]).final:
        yield from (event.data for event in api.events(f"/v1/batches/{batch['id']}/events"))
        batch = api.get(f"/v1/batches/{batch['id']}")
        yield batch


def _print(batch: dict[str, Any], *, as_json: bool) -> None:
    from app.cli import show

    if as_json:
        show.print_json(batch)
        return
    counts = batch["request_counts"]
    told = {
        "id": batch["id"],
        "status": batch["status"],
        "model": f"{batch['model']}@{batch['version']}",
        "rows": f"{counts['completed']} of {counts['total']} answered, {counts['failed']} failed",
        "rows/s": batch["progress"]["rows_per_s"],
        "seconds left": batch["progress"]["eta_s"],
        "errors": [one["message"] for one in (batch["errors"] or {"data": []})["data"]] or None,
    }
    show.out().print(show.table(("field", "value"), ((name, value) for name, value in told.items() if value is not None)))


def _check(batch: dict[str, Any], hint: str) -> None:
    """Raises CLIError unless every row was answered."""
    from app.cli.errors import CLIError, Exit

    counts = batch["request_counts"]
    if batch["status"] != Status.COMPLETED or counts["failed"]:
        left = counts["total"] - counts["completed"]
        told = f"the batch is {batch['status']}, and {left} of {counts['total']} rows were not answered"
        raise CLIError(f"{told}: {hint or 'see `celeriac batch show`'}", Exit.FAILED)


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _format(output: Path) -> str | None:
    from app.cli.errors import CLIError, Exit

    suffix = output.suffix.removeprefix(".").lower()
    found = {"pq": "parquet", "ndjson": "jsonl"}.get(suffix, suffix)
    if found not in ("csv", "jsonl", "npy", "parquet"):
        raise CLIError(f"{output} must end in .csv, .jsonl, .npy or .parquet", Exit.USAGE)
    return found
