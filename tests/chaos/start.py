"""Starts a process of the platform as it is, or with a safety net cut, so that the suite shows that it can fail.

`python -m tests.chaos.start worker|api [late-acks] [reconciler]`
"""

from __future__ import annotations

import resource
import sys
from typing import Final

from app.cli import processes

_MEMORY: Final = 4 << 30


def cut_late_acks() -> None:
    """Celery's default: the message is forgotten before the work is done."""
    from app.broker.celery import app

    app.conf.task_acks_late = False


def cut_reconciler() -> None:
    """Nobody looks for deliveries that have no message."""
    from app.broker.maintenance import Maintenance

    async def nothing(self: Maintenance) -> int:
        return 0

    Maintenance.round = nothing  # type: ignore[method-assign]


CUTS: Final = {"late-acks": cut_late_acks, "reconciler": cut_reconciler}


def main(role: str, *cuts: str) -> None:
    for cut in cuts:
        CUTS[cut]()
    if role == "worker":
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    {"api": processes.api, "worker": processes.worker}[role]()


if __name__ == "__main__":
    main(*sys.argv[1:])
