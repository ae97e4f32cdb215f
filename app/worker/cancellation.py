"""Stop a running prediction. The soft time limit, and a caller who cancels, reach a pool process as SIGUSR1.

billiard's own handler raises wherever the process is. While the process writes an answer to the main process that leaves half an
answer in the pipe, which ends the main process; between two tasks it ends the pool process. Here the signal ends a prediction, and
nothing else.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded


class Cancellation:
    """The state of the signal in one pool process."""

    def __init__(self) -> None:
        """Start without a request to stop."""
        self._open = False
        self._requested = False

    def arm(self) -> None:
        """Begin a delivery: a signal that came too late for the one before does not count."""
        self._requested = False
        # Here, and not once at the start: billiard installs its own handler after `worker_process_init`.
        signal.signal(signal.SIGUSR1, self._receive)

    def requested(self) -> bool:
        """Return whether the delivery is to stop: a signal came since `arm`."""
        return self._requested

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let the signal stop the code in the block.

        Raises:
            SoftTimeLimitExceeded: The signal came in this block, or since `arm`.
        """
        self._open = True
        try:
            if self._requested:
                raise SoftTimeLimitExceeded
            yield
        finally:
            self._open = False

    def _receive(self, *_: Any) -> None:
        self._requested = True
        if self._open:
            raise SoftTimeLimitExceeded
