"""`celeriac up`: everything on this machine until Ctrl-C."""

from __future__ import annotations

import time
from typing import Annotated

import typer


def up(
    samples: Annotated[bool, typer.Option(help="Publish the sample models that are missing, and show their predictions.")] = True,
    training: Annotated[bool, typer.Option("--training", help="Run a second worker, for trainings.")] = False,
    beat: Annotated[bool, typer.Option("--beat", help="Run beat, which schedules need.")] = False,
) -> None:
    """Run the API, a worker, Flower and, unless CELERIAC_REDIS_URL is set, Redis on this machine until Ctrl-C.

    A process that dies is restarted.
    """
    started = time.monotonic()
    import asyncio

    from app.cli.dev_stack import DevStack
    from app.settings import settings

    stack = DevStack(settings(), samples=samples, training=training, beat=beat, started=started)
    asyncio.run(stack.run())
