"""Replaces pool processes that are worn, without a gap and without a loss.

A process reports over a pipe that it should be replaced. A fresh one is started first; when it is warm, the old one stops getting
work, and ends when it is idle: no delivery is interrupted, run again or charged an attempt. In two cases the old one goes first:
where it must get no more work (far above its limit of memory, or broken), and where two copies of the models may not fit.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from celery import bootsteps

from app import metrics
from app.worker import main_process, process_limits
from app.worker.models import Models

log = logging.getLogger(__name__)
_EVERY_S: Final = 0.1
_BUFFER: Final = 1 << 16
_LONGEST: Final = 400
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 300.0
_QUIET_S: Final = 600.0
"""Without a broken process for so long, the next one is replaced at once again."""


@dataclass(frozen=True, slots=True)
class Report:
    """A process says why it should be replaced. `urgent`: it must get no more work."""

    pid: int
    reason: str
    urgent: bool
    found: str


class Reports:
    """A pipe from all pool processes to the main process. Make it before the fork."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self._writer, False)
        self._rest = b""

    def write(self, reason: str, urgent: bool, found: str) -> None:
        """In a pool process. A line is short enough to be written whole."""
        line = json.dumps([os.getpid(), reason, urgent, found[:_LONGEST]]).encode()
        try:
            os.write(self._writer, line + b"\n")
        except OSError as error:
            log.warning("Could not report that this process should be replaced: %s", error)

    def read(self) -> list[Report]:
        """In the main process: what came since the last call."""
        try:
            received = os.read(self.reader, _BUFFER)
        except BlockingIOError:
            return []
        *lines, self._rest = (self._rest + received).split(b"\n")
        return [Report(*json.loads(line)) for line in lines]


class Backoff:
    """How long to wait before another broken process is replaced: what breaks it may be outside of it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pause_s = _FIRST_PAUSE_S
        self._allowed_at = 0.0

    def allows(self) -> bool:
        return self._clock() >= self._allowed_at

    def replaced(self) -> None:
        now = self._clock()
        self._pause_s = _FIRST_PAUSE_S if now - self._allowed_at > _QUIET_S else min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self._allowed_at = now + self._pause_s


class Recycling(bootsteps.StartStopStep):
    """A worker step."""

    requires = ("app.worker.reload:Reload",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self.timer: Any = None
        self.worn: dict[int, Report] = {}
        self.fresh = False
        self.backoff = Backoff()

    def start(self, worker: Any) -> None:
        turn = main_process.loops().add("recycling", _EVERY_S).guarded(self.look)
        self.timer = worker.timer.call_repeatedly(_EVERY_S, turn, (worker,))

    def stop(self, worker: Any) -> None:
        if self.timer is not None:
            self.timer.cancel()
            main_process.loops().remove("recycling")

    def look(self, worker: Any) -> None:
        """One step: take reports, start a fresh process, or retire one worn process."""
        for report in worker.reports.read():
            log.warning("Process %d is to be replaced (%s): %s", report.pid, report.reason, report.found)
            before = self.worn.get(report.pid)
            if before is None or report.urgent:
                self.worn[report.pid] = report
        pool = worker.pool._pool
        self.worn = {process.pid: self.worn[process.pid] for process in pool._pool if process.pid in self.worn}
        # Children are not forked while a thread loads models, and the reload replaces all of them afterwards.
        if worker.reload.busy:
            return
        due = [report for report in self.worn.values() if report.reason != process_limits.BROKEN or self.backoff.allows()]
        for process in pool._pool:
            if process.pid in {report.pid for report in due if report.urgent}:
                pool.hold_back(process)
        urgent = any(self._retire(pool, report.pid) for report in due if report.urgent)
        if self.fresh:
            # It is in the place of the one that was just retired, or of one that is.
            self.fresh = not urgent and not self._retire_for_fresh(pool, due)
        elif urgent or (due and not _fits_twice(worker.models) and any(self._retire(pool, report.pid) for report in due)):
            pool.grow(1)
            pool.maintain_pool()
        elif any(not report.urgent for report in due) and _fits_twice(worker.models):
            self.fresh = True
            pool.grow(1)
            pool.maintain_pool()

    def _retire_for_fresh(self, pool: Any, due: list[Report]) -> bool:
        """Retire one that is worn if every process is warm; any idle one if the worn ones have died meanwhile. False if none could be."""
        if len(pool._pool) < pool._processes or any(process.inqW_fd not in pool._all_inqueues for process in pool._pool):
            return False
        pids = [report.pid for report in due] or [process.pid for process in pool._pool]
        return any(self._retire(pool, pid) for pid in pids)

    def _retire(self, pool: Any, pid: int) -> bool:
        """End a process that is idle. False if it is not."""
        process = next(process for process in pool._pool if process.pid == pid)
        if not pool.reserve_if_idle(process):
            return False
        pool._processes -= 1
        process.terminate_controlled()
        pool._putlock and pool._putlock.shrink()
        report = self.worn.pop(pid, None)
        if report is not None:
            metrics.RECYCLED.labels(report.reason).inc()
            log.info("Process %d was replaced (%s)", pid, report.reason)
            if report.reason == process_limits.BROKEN:
                self.backoff.replaced()
        return True


def _fits_twice(models: Models) -> bool:
    """A model that each process loads for itself may be too large to be there twice, even for a moment."""
    return not any(model.manifest.load == "child" for model in models.loaded.values())
