"""Ends a process whose event loop is stuck in a call of a version."""

from __future__ import annotations

import logging
import os
import threading
from typing import Final

from app.direct.marks import Marks

log = logging.getLogger(__name__)
EXIT_CODE: Final = 70
"""EX_SOFTWARE of sysexits.h."""
_LOOKS: Final = 4


class Watchdog:
    """A thread that looks at the call in progress. ONNX Runtime releases the interpreter while it computes, so the thread runs."""

    def __init__(self, stuck_s: float, marks: Marks) -> None:
        self._stuck_s = stuck_s
        self._marks = marks
        self._stopped = threading.Event()

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="direct-watchdog", daemon=True).start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stopped.set()

    def _run(self) -> None:
        last: tuple[str] | None = None
        looks = 0
        while not self._stopped.wait(self._stuck_s / _LOOKS):
            call = self._marks.calling
            # Counts looks, not seconds: a process that was suspended has not called for that long.
            looks = looks + 1 if call is not None and call is last else 0
            last = call
            if call is not None and looks >= _LOOKS:
                log.critical("Ending this process: a call of %s has not returned for %g s.", call[0], self._stuck_s)
                # The event loop, which would end it in order, is what does not run.
                os._exit(EXIT_CODE)
