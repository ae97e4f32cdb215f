"""The options that several commands have, spelled once."""

from __future__ import annotations

from typing import Annotated

import typer

JSON = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
URL = Annotated[str, typer.Option("--url", help="The API to ask; else CELERIAC_URL, else the one of this machine.", metavar="URL")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the result; 0 only submits.", metavar="SECONDS")]
