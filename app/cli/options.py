"""The options that several commands have, spelled once."""

from __future__ import annotations

from typing import Annotated, Any

import typer

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
Webhook = Annotated[str, typer.Option("--webhook", help="URL that is notified by a signed POST request when it has ended.", metavar="URL")]

Delimiter = Annotated[str | None, typer.Option("--delimiter", help="Of CSV: what parts the values; the first line decides by default.")]
Decimal = Annotated[
    str | None, typer.Option("--decimal", help="Of CSV: the decimal point, . or a comma.  \\[default: .]", show_default=False)
]
Quote = Annotated[str | None, typer.Option("--quote", help='Of CSV: the quote, or "" for none.  \\[default: "]', show_default=False)]
Encoding = Annotated[
    str | None,
    typer.Option("--encoding", help="Of CSV: utf-8 or a single-byte encoding such as cp1252.  \\[default: utf-8]", show_default=False),
]
NaValues = Annotated[
    list[str] | None, typer.Option("--na-values", help="Of CSV: a text that means a missing value in every column; may be repeated.")
]
Header = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header", help="Of CSV: whether the first line names the columns; by default it does and must not be numbers."
    ),
]


def table_options(
    delimiter: str | None, decimal: str | None, quote: str | None, encoding: str | None, na_values: list[str] | None, header: bool | None
) -> dict[str, Any]:
    """The options of a table that were given, as the API takes them."""
    given = {
        "delimiter": "\t" if delimiter in ("\\t", "tab") else delimiter, "decimal": decimal, "quote": quote, "encoding": encoding,
        "na_values": na_values or None, "header": header,
    }  # fmt: skip
    return {name: value for name, value in given.items() if value is not None}


def hook(url: str) -> dict[str, Any]:
    """What `--webhook` adds to the body of a request."""
    return {"webhook": {"url": url}} if url else {}
