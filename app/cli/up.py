"""`celeriac up`: everything on this machine, from nothing to real answers, until Ctrl-C."""

from __future__ import annotations

import time
from typing import Annotated

import typer


def up(
    samples: Annotated[bool, typer.Option(help="Publish the sample models that are missing, and ask them.")] = True,
    training: Annotated[bool, typer.Option("--training", help="Run one more worker, which trains models.")] = False,
    beat: Annotated[bool, typer.Option("--beat", help="Run beat, which schedules need.")] = False,
) -> None:
    """Run API, worker and Flower on this machine, with a Redis where there is none, until Ctrl-C."""
    started = time.monotonic()
    import asyncio

    from app.cli.installation import Installation
    from app.settings import settings

    installation = Installation(settings(), samples=samples, training=training, beat=beat, started=started)
    asyncio.run(installation.run())
