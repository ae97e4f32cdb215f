"""Work of a kind that only tests have. Workers import it by CELERIAC_IMPORTS."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from app.core.handlers import Context, handler


@handler("test")
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
