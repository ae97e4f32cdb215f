"""The options that several commands have, spelled once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer
from celeriac_cli.errors import CLIError, Exit


class OnFull(StrEnum):
    """What happens to a job whose concurrency key has its limit of jobs."""

    QUEUE = "queue"
    REFUSE = "refuse"
    CANCEL_RUNNING = "cancel_running"
    CANCEL_NEWEST = "cancel_newest"


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
ServiceTier = Annotated[
    str | None,
    typer.Option(
        help="Service tier: priority, default or flex. Workers take jobs of priority first and those of flex last.  \\[default: default]",
        show_default=False,
    ),
]
Webhook = Annotated[str, typer.Option("--webhook", help="URL that receives a signed POST request when it has ended.", metavar="URL")]

ConcurrencyKey = Annotated[
    str, typer.Option("--concurrency-key", help="Key whose jobs are limited, for example customer:42.", metavar="KEY", show_default=False)
]
ConcurrencyLimit = Annotated[
    int | None,
    typer.Option("--concurrency-limit", min=1, help="Maximum number of jobs of the concurrency key.  \\[default: 1]", show_default=False),
]
WhenFull = Annotated[
    OnFull | None,
    typer.Option("--on-full", help="What happens if the concurrency key has its limit of jobs.  \\[default: queue]", show_default=False),
]

Columns = Annotated[str | None, typer.Option(help="Columns of the file in the order of the model's inputs, separated by commas.")]
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


def names(text: str | None) -> list[str] | None:
    """The names in an option that are separated by commas; None if it was not given."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def tier_field(service_tier: str | None) -> dict[str, str]:
    """The field of a request for `--service-tier`, if it is given."""
    return {} if service_tier is None else {"service_tier": service_tier}


def concurrency_field(key: str, limit: int | None, on_full: OnFull | None) -> dict[str, Any]:
    """What `--concurrency-key` and its options limit: `key`, `limit` and `on_full`, or nothing without a key."""
    if key:
        return {"key": key, "limit": limit or 1, "on_full": on_full or OnFull.QUEUE}
    if limit is not None or on_full is not None:
        option = "--on-full" if limit is None else "--concurrency-limit"
        raise CLIError(f"{option} limits the jobs of a concurrency key. Give --concurrency-key, too.", Exit.USAGE)
    return {}


def webhook_field(url: str) -> dict[str, Any]:
    """The field that `--webhook` adds to the body of a request."""
    return {"webhook": {"url": url}} if url else {}
