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


def hook(url: str) -> dict[str, Any]:
    """What `--webhook` adds to the body of a request."""
    return {"webhook": {"url": url}} if url else {}
