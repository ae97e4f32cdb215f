"""A worker with a handler for a kind of task that only tests have."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from app import logs, startup
from app.core.handlers import Context


def run(spec: dict[str, Any], context: Context) -> dict[str, Any]:
    """`{"answer": …}` is answered; the rest of the spec says how."""
    if spec.get("dies_once_beside") and not Path(spec["dies_once_beside"]).exists():
        Path(spec["dies_once_beside"]).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if "raises" in spec:
        raise ValueError(spec["raises"])
    for fraction in spec.get("progress", ()):
        context.progress(fraction, f"{fraction:.0%}")
    while "until" in spec and not Path(spec["until"]).exists():
        time.sleep(0.02)
    return {"answer": spec.get("answer"), "attempt": context.attempt}


if __name__ == "__main__":
    startup.exit_on_signals(sys.argv[1])
    from app.worker.main import serve

    logs.configure("worker")
    serve({"test": run})
