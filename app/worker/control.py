"""The remote control commands of our own (`celery control interrupt ID`)."""

from __future__ import annotations

import os
import signal
from typing import Any

from celery.worker import state as worker_state
from celery.worker.control import control_command

from app.broker import names


@control_command(name=names.INTERRUPT, args=[("id", str)], signature="<delivery id>")
def interrupt(state: Any, id: str) -> dict[str, str]:
    """Raises the soft time limit in the process that runs a delivery. Code that never returns to Python ends at the hard limit."""
    for request in list(worker_state.active_requests):
        if request.id == id and request.worker_pid:
            os.kill(request.worker_pid, signal.SIGUSR1)
            return {"ok": f"interrupted {id}"}
    return {"ok": "not here"}
