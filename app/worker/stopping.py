"""The end of a worker that does not come by itself: a drain takes no longer than it may, and what cannot stop is stopped."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from contextlib import suppress
from typing import Any, Final

from celery.bootsteps import CLOSE, TERMINATE

log = logging.getLogger(__name__)
_LOOK_EVERY_S: Final = 0.5


def bound(worker: Any, seconds: float) -> None:
    """Ends this process with 1 when `worker` has been stopping for so long. What it still runs is another's, once its lease is over."""

    def look() -> None:
        began = 0.0
        while not began or time.monotonic() - began < seconds:
            time.sleep(_LOOK_EVERY_S)
            if not began and worker.blueprint.state in (CLOSE, TERMINATE):
                began = time.monotonic()
        log.critical("the worker has not stopped within %g s: what it still runs is handed back", seconds)
        for process in worker.pool._pool._pool if worker.pool and worker.pool._pool else ():
            with suppress(OSError):
                os.kill(process.pid, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=look, name="stopping", daemon=True).start()
