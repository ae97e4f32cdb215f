"""`celeriac batch`: predict whole files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.options import (
    JSON,
    URL,
    Columns,
    Decimal,
    Delimiter,
    Encoding,
    Header,
    NaValues,
    Quote,
    Webhook,
    Wide,
    names,
    table_options,
    webhook_field,
)

if TYPE_CHECKING:
    from celeriac import Batch

app = typer.Typer(help="Predict files; list, show, watch, cancel and resume batches.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="The id of a batch.")]
_FORMATS: Final = {"csv": "csv", "jsonl": "jsonl", "ndjson": "jsonl", "npy": "npy", "parquet": "parquet", "pq": "parquet"}


@app.command()
def run(
    model: Annotated[str, typer.Argument(help="Model reference: name, name@alias or name@version.")],
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="CSV, JSONL, NPY or Parquet.")],
    output: Annotated[
        Path, typer.Argument(help="File for the predictions; its extension selects the format: .csv, .jsonl, .npy or .parquet.")
    ],
    method: Annotated[str | None, typer.Option(help="Method to call.  \\[default: the model's first]", show_default=False)] = None,
    columns: Columns = None,
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
    from celeriac._paths import same_file
    from celeriac_cli.api import connect

    if not source.is_file():
        raise CLIError(f"The file {source} does not exist or is not a regular file.", Exit.NOT_FOUND)
    if not output.absolute().parent.is_dir():
        raise CLIError(f"The folder {output.absolute().parent} does not exist.", Exit.NOT_FOUND)
    errors_file = output.with_name(f"{output.name}.errors.jsonl")
    for target in (output, errors_file):
        if same_file(source, target):
            raise CLIError(f"{target} is the input file, which would be replaced. Name another OUTPUT.", Exit.USAGE)
    options = {"method": method, "columns": names(columns), "keep": names(keep), "format": _format(output), "owner": owner or None}
    options |= table_options(delimiter, decimal, quote, encoding, na_values, header)
    options = {name: value for name, value in options.items() if value is not None} | webhook_field(webhook)
    with connect(url) as client:
        try:
            file = client.files.upload(source)["id"]
        except OSError as error:
            raise CLIError(f"{source} cannot be read: {error.strerror}.", Exit.REFUSED) from None
        try:
            batch = client.batches.start(model, file, **options)
            _follow(batch, quiet=json)
            if batch.record["output_file_id"]:
                batch.download(output)
            errors = batch.download_errors(errors_file)
        finally:
            client.files.delete(file)
    _print(batch.record, as_json=json)
    _check(batch.record, f"{errors} says why." if errors else "")


@app.command("list")
def list_batches(
    limit: Annotated[int, typer.Option(min=1, max=100, help="Number of batches to list, the newest first.")] = 20,
    wide: Wide = False,
    json: JSON = False,
    url: URL = "",
) -> None:
    """List batches, the newest first."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        records = [batch.record for batch in client.batches.list(limit=limit)]
    if json:
        show.print_json(records)
        return
    columns = ("id", "status", "rows", "completed", "failed", "rows/s", "owner", "model")
    show.print_table(columns, map(_row, records), none="No batches.", extra=("owner", "rows/s", "rows"), wide=wide)


@app.command("show")
def show_batch(id: Id, json: JSON = False, url: URL = "") -> None:
    """Show one batch, its counts and its errors."""
    from celeriac_cli.api import connect

    with connect(url) as client:
        _print(client.batches.get(id).record, as_json=json)


@app.command()
def watch(id: Id, json: JSON = False, url: URL = "") -> None:
    """Follow one batch until it ends. The exit code is 0 if every row was answered."""
    from celeriac_cli.api import connect

    with connect(url) as client:
        batch = client.batches.get(id)
        _follow(batch, quiet=json)
    _print(batch.record, as_json=json)
    _check(batch.record, "")


@app.command()
def cancel(id: Id, json: JSON = False, url: URL = "") -> None:
    """Cancel a batch. Finished rows are kept, and `resume` continues from there."""
    from celeriac_cli.api import connect

    with connect(url) as client:
        _print(client.batches.get(id).cancel().record, as_json=json)


@app.command()
def resume(id: Id, json: JSON = False, url: URL = "") -> None:
    """Continue a batch that failed, expired or was cancelled."""
    from celeriac_cli.api import connect

    with connect(url) as client:
        _print(client.batches.get(id).resume().record, as_json=json)


def _follow(batch: Batch, *, quiet: bool) -> None:
    """Wait until the batch has ended. A bar on standard error shows its progress."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet,
    )
    with bar:
        task = bar.add_task(batch.status, total=None, rate="")
        bar.update(task, **_progress(batch.record))
        if not batch.done:
            for event in batch.events():
                bar.update(task, **_progress(event.data))


def _progress(batch: dict[str, Any]) -> dict[str, Any]:
    counts, rate = batch["request_counts"], batch["progress"]["rows_per_s"]
    return {
        "description": batch["status"],
        "total": counts["total"] or None,
        "completed": counts["completed"] + counts["failed"],
        "rate": f"{rate:,.0f} rows/s" if rate else "",
    }


def _row(batch: dict[str, Any]) -> tuple[Any, ...]:
    model = f"{batch['model']}@{batch['version']}"
    return batch["id"], batch["status"], *batch["request_counts"].values(), batch["progress"]["rows_per_s"], batch["owner"], model


def _print(batch: dict[str, Any], *, as_json: bool) -> None:
    from celeriac_cli import show

    if as_json:
        show.print_json(batch)
        return
    counts = batch["request_counts"]
    fields = {
        "id": batch["id"],
        "status": batch["status"],
        "model": f"{batch['model']}@{batch['version']}",
        "rows": f"{counts['completed']} of {counts['total']} answered, {counts['failed']} failed",
        "rows/s": batch["progress"]["rows_per_s"],
        "seconds left": batch["progress"]["eta_s"],
        "errors": [error["message"] for error in (batch["errors"] or {"data": []})["data"]] or None,
    }
    show.out().print(show.table(("field", "value"), ((name, value) for name, value in fields.items() if value is not None)))


def _check(batch: dict[str, Any], hint: str) -> None:
    """Raises CLIError unless every row was answered."""
    counts = batch["request_counts"]
    if batch["status"] != "completed" or counts["failed"]:
        left = counts["total"] - counts["completed"]
        sentence = f"The batch is {batch['status']}, and {left} of {counts['total']} rows were not answered"
        raise CLIError(f"{sentence}. {hint or 'See `celeriac batch show`.'}", Exit.FAILED)


def _format(output: Path) -> str:
    format = _FORMATS.get(output.suffix.removeprefix(".").lower())
    if format is None:
        raise CLIError(f"{output} must end in .csv, .jsonl, .npy or .parquet.", Exit.USAGE)
    return format
