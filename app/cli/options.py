"""The options that several commands have, spelled once."""

from __future__ import annotations

from typing import Annotated, Any

import typer

JSON = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
URL = Annotated[str, typer.Option("--url", help="The API to ask; else CELERIAC_URL, else the one of this machine.", metavar="URL")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the result; 0 only submits.", metavar="SECONDS")]
Webhook = Annotated[str, typer.Option("--webhook", help="Who is told when it has ended, by a signed POST.", metavar="URL")]


def hook(url: str) -> dict[str, Any]:
    """What `--webhook` adds to the body of a request."""
    return {"webhook": {"url": url}} if url else {}
