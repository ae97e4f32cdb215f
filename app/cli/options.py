"""The options that several local commands have, spelled once."""

from __future__ import annotations

from typing import Annotated

import typer

Root = Annotated[
    str | None,
    typer.Option(
        "--models",
        metavar="LOCATION",
        help="Model repository: a folder, or a bucket such as s3://bucket/prefix.  \\[env: CELERIAC_MODELS] \\[default: that of the server that runs here, else ./models]",
        show_default=False,
    ),
]
