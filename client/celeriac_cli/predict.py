"""`celeriac predict`: predict rows with a model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from celeriac_cli.errors import CLIError, Exit, with_row
from celeriac_cli.options import (
    JSON,
    URL,
    Columns,
    ConcurrencyKey,
    ConcurrencyLimit,
    Decimal,
    Delimiter,
    Encoding,
    Header,
    NaValues,
    Quote,
    ServiceTier,
    Wait,
    Webhook,
    WhenFull,
    concurrency_field,
    names,
    table_options,
    tier_field,
    webhook_field,
)

if TYPE_CHECKING:
    from celeriac import Client, Job

_REFERENCE: Final = re.compile(r"(?P<name>[a-z0-9][a-z0-9_-]{0,62})(@(?P<which>[A-Za-z0-9][A-Za-z0-9._-]{0,62}))?")
_ENDED: Final = {"failed": "failed", "cancelled": "was cancelled", "expired": "passed its deadline before it was run"}


def predict(
    model: Annotated[str, typer.Argument(help="Model reference: name, name@alias or name@version, for example digits@production.")],
    data: Annotated[str, typer.Option("--data", "-d", help="Rows to predict: CSV, JSONL, Parquet, NPY or JSON, or - for standard input.")],
    method: Annotated[
        str | None,
        typer.Option(
            help="Method to call: predict, predict_proba, decision_function or transform.  \\[default: the model's first]",
            show_default=False,
        ),
    ] = None,
    columns: Columns = None,
    stream: Annotated[bool, typer.Option("--stream", help="Print streamed output as it arrives.")] = False,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    quote: Quote = None,
    encoding: Encoding = None,
    na_values: NaValues = None,
    header: Header = None,
    service_tier: ServiceTier = None,
    webhook: Webhook = "",
    concurrency_key: ConcurrencyKey = "",
    concurrency_limit: ConcurrencyLimit = None,
    on_full: WhenFull = None,
    wait: Wait = 60,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Predict rows with a model."""
    from celeriac_cli import rows, show
    from celeriac_cli.api import connect

    concurrency = concurrency_field(concurrency_key, concurrency_limit, on_full)
    name, content = rows.content(data)
    printer = show.TokenPrinter()
    with connect(url) as client:
        if rows.is_json(data, content):
            single = rows.one_value_per_row(manifest_of(client, model))
            inputs = rows.filled(name, rows.json_rows(content, name, single))
            more = webhook_field(webhook) | ({"concurrency": concurrency} if concurrency else {})
            job = client.submit(model, inputs, method=method, service_tier=service_tier, **more)
        else:
            rows.filled(name, content.strip())
            options = table_options(delimiter, decimal, quote, encoding, na_values, header)
            options |= {"method": method, "columns": names(columns), "webhook": webhook or None, **tier_field(service_tier)}
            if concurrency:
                options |= {
                    "concurrency_key": concurrency["key"],
                    "concurrency_limit": concurrency["limit"],
                    "on_full": concurrency["on_full"],
                }
            job = client.submit_table(model, content if data == "-" else data, **options)
        if stream:
            for event in job.events():
                if event.name == "output" and not json:
                    printer.show(event.data)
        else:
            wait_for(job, wait)
    printer.end()
    record = job.record
    if json:
        show.print_json(record)
    elif record["state"] == "succeeded" and not printer.shown:
        _print_result(record)
    elif wait == 0 and not stream:
        show.out().print(f"{record['id']}  [blue]{record['state']}[/]  follow it: celeriac jobs watch {record['id']}", soft_wrap=True)
    check(record, waited=stream or wait > 0)


def split_reference(model: str) -> tuple[str, str]:
    """The name of a model reference, and its version or alias or "". Raises CLIError."""
    match = _REFERENCE.fullmatch(model)
    if match is None:
        message = f"Invalid model reference {model!r}. Use name, name@alias or name@version, for example digits@production."
        raise CLIError(message, Exit.USAGE, code="invalid_input")
    return match["name"], match["which"] or ""


def manifest_of(client: Client, model: str) -> dict[str, Any] | None:
    """What the version that answers declares, or None if that is unknown, which the answer will explain."""
    name, which = split_reference(model)
    entry = client.models.get(name)
    which = which or entry.get("default") or ""
    version = client.models.version(name, which) if which else {}
    return version if version.get("inputs") else None


def wait_for(job: Job, seconds: float) -> None:
    """Wait until the job has ended or the seconds have passed."""
    from celeriac import Timeout

    if seconds > 0:
        try:
            job.wait(seconds)
        except Timeout:
            return


def check(record: dict[str, Any], *, waited: bool = True) -> None:
    """Raises CLIError unless the job succeeded, or was not waited for."""
    state, error = record["state"], record.get("error") or {}
    if state in ("queued", "running") and waited:
        raise CLIError(f"Job {record['id']} is still {state}. Wait for it with `celeriac jobs watch {record['id']}`.", Exit.NOT_NOW)
    if state in _ENDED:
        reason = with_row(error.get("detail") or "", error.get("pointer"))
        sentence = f"Job {record['id']} {_ENDED[state]}" + (f": {reason}" if reason else "")
        raise CLIError(sentence, Exit.FAILED, code=str(error.get("code", state)), pointer=error.get("pointer"))


def _print_result(record: dict[str, Any]) -> None:
    from celeriac_cli import show

    took = f", {record['run_s'] * 1000:.1f} ms" if record.get("run_s") is not None else ""
    show.out().print(f"[bold]{record['model']}@{record['version']}[/]{took}")
    outputs = record["result"] if isinstance(record["result"], dict) else {record["method"]: record["result"]}
    answers = enumerate(zip(*outputs.values(), strict=True))
    show.out().print(show.table(("row", *outputs), ((str(row), *answer) for row, answer in answers)))
