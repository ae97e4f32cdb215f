"""Count the rows that a process of the pool has answered, in a thread: no answer waits for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

import redis
from redis.exceptions import RedisError

from app import metrics
from app.core.deliveries import Delivery, Outcome
from app.core.models import Manifest
from app.core.observations import Observations
from app.runtime.bins import count
from app.settings import Settings
from app.store import live_counts, scripts

log = logging.getLogger(__name__)
_EVERY_S: Final = 5.0
_LAST_S: Final = 2.0
"""Seconds for the last count, when the process ends."""


class Observer:
    """Counts rows in the bins of the reference profiles. It does nothing if `drift_max_versions` is 0."""

    def __init__(self, settings: Settings, client: Callable[[], redis.Redis]) -> None:
        """`client` returns the connection of the process to Redis."""
        self._max_versions = settings.drift_max_versions
        self._client = client
        self._observations = Observations(settings.drift_buffer_bytes)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Count every few seconds from now on."""
        if self._max_versions:
            # A thread that was made before the fork would look dead in it, and `stop` would not wait for it.
            self._thread = threading.Thread(target=self._run, name="observing", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Count what is left, at the end of the process. A Redis that does not answer must not delay it for long."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(_LAST_S)

    def observe(self, manifest: Manifest, delivery: Delivery, outcomes: Sequence[Outcome]) -> None:
        """Keep the rows of a delivery until they are counted, if all of its jobs succeeded."""
        if self._max_versions and all(outcome.error is None for outcome in outcomes):
            self._observations.add(manifest, delivery.inputs, [outcome.outputs for outcome in outcomes])

    def flush(self) -> None:
        """Count what was observed. If that fails it is dropped: written twice, it would be counted twice."""
        observed, dropped = self._observations.take()
        metrics.DRIFT_ROWS_LEFT_OUT.inc(dropped)
        for version in observed:
            manifest = version.manifest
            assert manifest.profile is not None
            written = False
            try:
                call = live_counts.record(manifest, count(manifest.profile, version.tensors), self._max_versions)
                written = bool(scripts.run(self._client(), call))
            except (RedisError, OSError) as error:
                log.warning("Could not count rows: model=%s version=%s rows=%d: %s", *manifest.key, version.rows, error)
            except Exception:
                log.exception("Could not count rows: model=%s version=%s", *manifest.key)
            if written:
                metrics.DRIFT_ROWS.labels(*manifest.key).inc(version.rows)
            else:
                metrics.DRIFT_ROWS_LEFT_OUT.inc(version.rows)

    def _run(self) -> None:
        while not self._stopped.wait(_EVERY_S):
            self.flush()
        self.flush()
