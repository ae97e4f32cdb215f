"""Limits at which a pool process is replaced: memory growth, predictions answered, and models that no longer answer as they did.

Model code may leak memory, and may break a library that other models of the process use. Neither shows in one call, so each
process measures itself, and reports to the main process when it should be replaced: see `app.worker.recycling`.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import resource
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from app.core.errors import CeleriacError
from app.core.models import Manifest
from app.runtime.model import Model
from app.settings import Settings

log = logging.getLogger(__name__)
_STATM: Final = Path("/proc/self/statm")
_URGENT: Final = 1.25
"""Above this multiple of a memory limit, the process gets no more work until it is replaced."""

MEMORY, COUNT, BROKEN = "memory", "count", "broken"
Report = Callable[[str, bool, str], None]
"""Receives the reason, whether it is urgent, and the details."""


def own_memory() -> int:
    """Return the bytes of memory that this process does not share with files, pages of its parent included; 0 outside of Linux."""
    if not _STATM.exists():
        return 0
    _, resident, shared, *_ = map(int, _STATM.read_text().split())
    return (resident - shared) * resource.getpagesize()


class ProcessLimits:
    """Measures one pool process from the time when it is warm."""

    def __init__(self, settings: Settings, report: Report, memory: Callable[[], int] = own_memory) -> None:
        """Begin to measure.

        Args:
            settings: The limits.
            report: Called once for each reason and urgency.
            memory: Returns the bytes that the process holds.
        """
        self._most_bytes = settings.max_process_memory_mb << 20
        self._most_predictions = settings.max_predictions_per_process
        self._report = report
        self._memory = memory
        self._last = memory()
        self._grown = 0
        self._grown_by = Counter[str]()
        self._predictions = 0
        self._failures = Counter[str]()
        self._reported: set[tuple[str, bool]] = set()

    def record_delivery(self, what: str, manifest: Manifest | None, jobs: int, *, loaded: bool) -> None:
        """Measure the process after a delivery.

        Args:
            what: The model version, or the kind of work, that growth is attributed to.
            manifest: The model's manifest, which may have a `memory_limit_mb` of its own.
            jobs: The number of predictions in the delivery.
            loaded: Whether the model was loaded for this delivery: its size is not a leak.
        """
        self._predictions += jobs
        if self._most_predictions and self._predictions >= self._most_predictions:
            self._report_once(COUNT, False, f"it has answered {self._predictions} predictions")
        now = self._memory()
        delta, self._last = now - self._last, now
        if loaded:
            return
        self._grown += delta
        self._grown_by[what] += delta
        limits = {"process": (self._most_bytes, lambda: self._grown)}
        if manifest is not None and manifest.memory_limit_mb:
            limits[what] = (manifest.memory_limit_mb << 20, lambda: self._grown_by[what])
        for name, (most, grown) in limits.items():
            if not most or grown() <= most:
                continue
            self._release(what)
            if grown() > most:
                urgent = grown() > _URGENT * most
                self._report_once(
                    MEMORY, urgent, f"the {name} has grown by {grown() >> 20} MiB since it was warm, its limit is {most >> 20} MiB"
                )

    def record_call(self, model: Model, *, failed: bool) -> None:
        """Note whether a call of a model failed. After the first, second, fourth … failure in a row, run its golden sample again.

        A model that still answers it was given a bad input. One that no longer does, though it did when this process became
        warm, was broken by other code of the process.
        """
        key = str(model)
        if not failed:
            self._failures.pop(key, None)
            return
        self._failures[key] += 1
        count = self._failures[key]
        if count & (count - 1) or model.manifest.golden is None:
            return
        try:
            model.verify()
        except CeleriacError as error:
            self._report_once(
                BROKEN, True, f"{key} no longer answers its golden sample, which it answered when the process became warm: {error.detail}"
            )

    def _release(self, what: str) -> None:
        """Free garbage, and what malloc keeps, before it counts as a leak."""
        gc.collect()
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
        now = self._memory()
        delta, self._last = now - self._last, now
        self._grown += delta
        self._grown_by[what] += delta

    def _report_once(self, reason: str, urgent: bool, details: str) -> None:
        if (reason, urgent) in self._reported:
            return
        self._reported.add((reason, urgent))
        self._report(reason, urgent, details)
