"""Run several API processes behind one port, and let a second signal hurry them.

Why:
    Once uvicorn's supervisor has received a stop signal, it waits for each process in turn and handles no further signal, so a second
    SIGTERM or Ctrl-C is ignored; one process alone hurries.

Upstream:
    https://github.com/Kludex/uvicorn/pull/2371 (open) changes how the supervisor waits for its processes. `timeout_graceful_shutdown`
    bounds a shutdown from the start, for those who would rather wait too.

Checked with:
    uvicorn 0.54.0

Remove:
    Use `uvicorn.supervisors.Multiprocess` where the processes are started.
"""

from __future__ import annotations

from multiprocessing.connection import wait
from typing import Final

from uvicorn import Config
from uvicorn.supervisors import Multiprocess

_LOOKS_EACH_S: Final = 0.5


class Processes(Multiprocess):
    """uvicorn's supervisor, which also handles a second stop signal: its processes hurry, as a single process does."""

    def __init__(self, config: Config) -> None:
        """Bind the socket that all processes share."""
        super().__init__(config, [config.bind_socket()])
        self._signals = 0

    def handle_term(self) -> None:
        """Note another signal to stop."""
        self._signals += 1
        super().handle_term()

    def handle_int(self) -> None:
        """Note another signal to stop."""
        self._signals += 1
        super().handle_int()

    def join_all(self) -> None:
        """Wait for all processes, and pass further signals on to them."""
        passed_on = 1
        while running := [worker.process.sentinel for worker in self.processes if worker.process.is_alive()]:
            # A signal that follows another at once is lost: a process notes that it got one, not how many.
            wait(running, timeout=_LOOKS_EACH_S)
            self.handle_signals()
            if self._signals > passed_on:
                passed_on = self._signals
                self.terminate_all()
