"""The options that several local commands have, spelled once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Root = Annotated[
    Path | None,
    typer.Option(
        "--models",
        help="Folder of the model repository.  \\[env: CELERIAC_MODELS] \\[default: that of the server that runs here, else ./models]",
        show_default=False,
    ),
]
