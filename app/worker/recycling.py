"""Replace pool processes that have reached a limit, without a gap and without a loss.

A process reports over a pipe that it should be replaced. A fresh one is started first; when it is warm, the old one stops getting
work, and ends when it is idle: no delivery is interrupted, requeued or charged an attempt. In two cases the old one goes first:
if it must get no more work (far above its memory limit, or broken), and if two copies of the models may not fit.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from app import metrics
from app.patches.celery_pool import AsynPool, process_pool
from app.worker import process_limits
from app.worker.models import Models
from app.worker.periodic import Periodic

log = logging.getLogger(__name__)
_BUFFER: Final = 1 << 16
_MAX_DETAILS: Final = 400
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 300.0
_QUIET_S: Final = 600.0
"""After this time without a broken process, the next one is replaced at once again."""


@dataclass(frozen=True, slots=True)
class Report:
    """Why a process should be replaced. `urgent`: it must get no more work."""

    pid: int
    reason: str
    urgent: bool
    details: str


class Reports:
    """A pipe from all pool processes to the main process. Make it before the fork."""

    def __init__(self) -> None:
        """Open the pipe."""
        self.reader, self._writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self._writer, False)
        self._rest = b""

    def write(self, reason: str, urgent: bool, details: str) -> None:
        """Report from a pool process. A line is short enough to be written whole."""
        line = json.dumps([os.getpid(), reason, urgent, details[:_MAX_DETAILS]]).encode()
        try:
            os.write(self._writer, line + b"\n")
        except OSError as error:
            log.warning("Could not report that this process should be replaced: %s", error)

    def read(self) -> list[Report]:
        """Return what came since the last call, in the main process."""
        try:
            received = os.read(self.reader, _BUFFER)
        except BlockingIOError:
            return []
        *lines, self._rest = (self._rest + received).split(b"\n")
        return [Report(*json.loads(line)) for line in lines]


class Backoff:
    """Delays the replacement of broken processes: what breaks them may be outside of them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without a delay.

        Args:
            clock: Returns the present time, in seconds.
        """
        self._clock = clock
        self._pause_s = _FIRST_PAUSE_S
        self._allowed_at = 0.0

    def allows(self) -> bool:
        """Return whether a broken process may be replaced now."""
        return self._clock() >= self._allowed_at

    def replaced(self) -> None:
        """Note that a broken process was replaced. The next one waits, and longer each time."""
        now = self._clock()
        self._pause_s = _FIRST_PAUSE_S if now - self._allowed_at > _QUIET_S else min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self._allowed_at = now + self._pause_s


class Recycling(Periodic):
    """A worker step: takes reports, starts a fresh process, or retires one that has reached a limit."""

    requires = ("app.worker.reload:Reload",)
    loop_name = "recycling"
    interval_s = 0.1

    def __init__(self, worker: Any, **options: Any) -> None:
        """Start without reports."""
        super().__init__(worker, **options)
        self.reported: dict[int, Report] = {}
        self.fresh = False
        """Whether a process was started that is to replace one."""
        self.backoff = Backoff()

    def tick(self, parent: Any) -> None:
        """Take the next step."""
        pool = process_pool(parent)
        self._take_reports(parent.reports, pool)
        # Processes are not forked while a thread loads models, and the reload replaces all of them afterwards.
        if parent.reload.busy:
            return
        due = [report for report in self.reported.values() if report.reason != process_limits.BROKEN or self.backoff.allows()]
        urgent_pids = {report.pid for report in due if report.urgent}
        for process in pool.processes:
            if process.pid in urgent_pids:
                pool.hold_back(process)
        retired = any(self._retire(pool, report.pid) for report in due if report.urgent)
        if self.fresh:
            # It is in the place of the one that was just retired, or of one that is.
            self.fresh = not retired and not self._retire_for_fresh(pool, due)
        elif retired or (due and not _fits_twice(parent.models) and any(self._retire(pool, report.pid) for report in due)):
            pool.add_process()
        elif any(not report.urgent for report in due) and _fits_twice(parent.models):
            self.fresh = True
            pool.add_process()

    def _take_reports(self, reports: Reports, pool: AsynPool) -> None:
        """Keep the reports of processes that live."""
        for report in reports.read():
            log.warning("Process %d is to be replaced (%s): %s", report.pid, report.reason, report.details)
            if report.pid not in self.reported or report.urgent:
                self.reported[report.pid] = report
        self.reported = {process.pid: self.reported[process.pid] for process in pool.processes if process.pid in self.reported}

    def _retire_for_fresh(self, pool: AsynPool, due: list[Report]) -> bool:
        """Retire a reported process if every process is warm; any idle one if the reported ones have died. Return False if none could be."""
        if not pool.complete:
            return False
        pids = [report.pid for report in due] or [process.pid for process in pool.processes]
        return any(self._retire(pool, pid) for pid in pids)

    def _retire(self, pool: AsynPool, pid: int) -> bool:
        """End a process that is idle. Return False if it is not."""
        process = next(process for process in pool.processes if process.pid == pid)
        if not pool.retire_if_idle(process):
            return False
        report = self.reported.pop(pid, None)
        if report is not None:
            metrics.RECYCLED.labels(report.reason).inc()
            log.info("Process %d was replaced (%s)", pid, report.reason)
            if report.reason == process_limits.BROKEN:
                self.backoff.replaced()
        return True


def _fits_twice(models: Models) -> bool:
    """Return whether each model may be in memory twice. One that each process loads for itself may be too large, even for a moment."""
    return not any(model.manifest.load == "child" for model in models.loaded.values())
