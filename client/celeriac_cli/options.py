"""The options that several commands have, spelled once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer
from celeriac_cli.tables import TableOptions


class State(StrEnum):
    """The states of a job. The last four are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Missed(StrEnum):
    """What happens to runs of a schedule that could not start in time."""

    SKIP = "skip"
    RUN_ONCE = "run_once"


JSON = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Wide = Annotated[bool, typer.Option("--wide", "-w", help="Print every column in full, however wide the table gets.")]
URL = Annotated[
    str,
    typer.Option(
        "--url",
        help="URL of the API.  \\[env: CELERIAC_URL] \\[default: the server that `celeriac up` runs in this folder, else http://127.0.0.1:8000]",
        metavar="URL",
        show_default=False,
    ),
]
Wait = Annotated[
    float, typer.Option("--wait", min=0, help="Seconds to wait for the result; 0 submits the job and returns.", metavar="SECONDS")
]
Webhook = Annotated[str, typer.Option("--webhook", help="URL that receives a signed POST request when it has ended.", metavar="URL")]

Delimiter = Annotated[
    str | None, typer.Option("--delimiter", help="CSV: character between values.  \\[default: the first line decides]", show_default=False)
]
Decimal = Annotated[str | None, typer.Option("--decimal", help="CSV: decimal point, . or a comma.  \\[default: .]", show_default=False)]
Quote = Annotated[str | None, typer.Option("--quote", help='CSV: quote character, or "" for none.  \\[default: "]', show_default=False)]
Encoding = Annotated[
    str | None,
    typer.Option("--encoding", help="CSV: utf-8 or a single-byte encoding such as cp1252.  \\[default: utf-8]", show_default=False),
]
NaValues = Annotated[
    list[str] | None, typer.Option("--na-values", help="CSV: text that means a missing value in every column. Repeatable.")
]
Header = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        help="CSV: whether the first line names the columns.  \\[default: it does, and must not be numbers]",
        show_default=False,
    ),
]


def table_options(
    delimiter: str | None, decimal: str | None, quote: str | None, encoding: str | None, na_values: list[str] | None, header: bool | None
) -> dict[str, Any]:
    """The table options that were given, as fields of a request."""
    fields = {
        "delimiter": "\t" if delimiter in ("\\t", "tab") else delimiter, "decimal": decimal, "quote": quote, "encoding": encoding,
        "na_values": na_values or None, "header": header,
    }  # fmt: skip
    return {name: value for name, value in fields.items() if value is not None}


def local_table_options(fields: dict[str, Any], manifest: dict[str, Any] | None) -> TableOptions:
    """The same options for a table that this process reads. Those that a training read its file with apply, as they do to a batch."""
    options: dict[str, Any] = {**(manifest or {}).get("reading", {}), **fields}
    return TableOptions(**{**options, "na_values": tuple(options.get("na_values", ()))})


def webhook_field(url: str) -> dict[str, Any]:
    """The field that `--webhook` adds to the body of a request."""
    return {"webhook": {"url": url}} if url else {}
