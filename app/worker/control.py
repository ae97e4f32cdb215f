"""The remote control command with which the API stops a running delivery."""

from __future__ import annotations

import logging
import os
import signal
from contextlib import suppress
from typing import Any

from celery.worker import state as worker_state
from celery.worker.control import control_command

from app.broker import names
from app.settings import settings

log = logging.getLogger(__name__)


@control_command(name=names.INTERRUPT, args=[("id", str)], signature="<delivery id>")
def interrupt(state: Any, id: str) -> dict[str, str]:
    """Raise the soft time limit in the process that runs a delivery. A process that does not stop in time is killed."""
    for request in list(worker_state.active_requests):
        if request.id == id and request.worker_pid:
            os.kill(request.worker_pid, signal.SIGUSR1)
            state.consumer.timer.call_after(settings().cancel_grace_s, _kill, (request, request.worker_pid))
            return {"ok": f"interrupted {id}"}
    return {"ok": "not here"}


def _kill(request: Any, pid: int) -> None:
    if request in worker_state.active_requests and request.worker_pid == pid:
        log.warning("Killing a process that did not stop after a cancellation: delivery=%s pid=%d", request.id, pid)
        request.cancelled = True
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
