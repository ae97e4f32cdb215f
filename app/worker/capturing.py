"""Write the captured rows that a process of the pool has answered, in a thread: no answer waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

from app import metrics
from app.core.captured_jobs import CaptureBuffer
from app.core.deliveries import Delivery, Outcome
from app.core.errors import CeleriacError
from app.core.models import Manifest
from app.settings import Settings
from app.store.files import captures

log = logging.getLogger(__name__)
_LOOK_S: Final = 5.0
_LAST_S: Final = 2.0
"""Seconds for the last file, when the process ends."""


class Capturer:
    """Captures jobs of the versions whose manifest says so."""

    def __init__(self, settings: Settings) -> None:
        self._every_s = settings.capture_every_s
        self._buffer = CaptureBuffer(settings.capture_buffer_bytes)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Write every now and then from now on."""
        # A thread that was made before the fork would look dead in it, and `stop` would not wait for it.
        self._thread = threading.Thread(target=self._run, name="capturing", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, at the end of the process. A bucket that does not answer must not delay it for long."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(_LAST_S)

    def capture(self, manifest: Manifest, delivery: Delivery, outcomes: Sequence[Outcome]) -> None:
        """Keep the chosen jobs of a delivery that succeeded until they are written."""
        self._buffer.add_delivery(manifest, delivery, outcomes, time.time())

    def flush(self) -> None:
        """Write what was captured. If that fails it is dropped."""
        for version in self._buffer.take():
            from app.data import captured  # imports Arrow, which takes memory that only workers with captured versions should pay

            dropped = version.dropped
            try:
                captured.write(version, captures())
                metrics.CAPTURED_ROWS.labels(*version.manifest.key).inc(version.rows)
            except (CeleriacError, OSError) as error:
                dropped += version.rows
                log.warning("Could not write captured rows: model=%s version=%s rows=%d: %s", *version.manifest.key, version.rows, error)
            except Exception:
                dropped += version.rows
                log.exception("Could not write captured rows: model=%s version=%s rows=%d", *version.manifest.key, version.rows)
            metrics.CAPTURED_ROWS_DROPPED.labels(*version.manifest.key).inc(dropped)

    def _run(self) -> None:
        written_at = time.monotonic()
        while not self._stopped.wait(min(_LOOK_S, self._every_s)):
            if self._buffer.half_full or time.monotonic() - written_at >= self._every_s:
                self.flush()
                written_at = time.monotonic()
        self.flush()
