"""The versions with which this process predicts itself."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from app import metrics
from app.core.errors import CeleriacError, error_text
from app.core.lanes import Choice, Lane
from app.core.metering import UsageCollector
from app.core.models import Manifest
from app.core.observations import Observations
from app.core.stats import Collector
from app.core.tensors import Tensor
from app.direct.marks import Mark, Marks
from app.direct.version import DirectVersion, Predicts
from app.direct.watchdog import Watchdog
from app.registry.reading import ReadableRepository
from app.settings import Settings

log = logging.getLogger(__name__)
_LINE: Final = 16
"""Calls of `direct_max_rows` requests that may wait in one turn of the event loop."""
_RETRY_S: Final = 60.0
"""Time after which a version that was too slow, or could not be loaded, is tried again."""
Key = tuple[str, str]


class DirectLane:
    """The direct lane of one process."""

    def __init__(
        self,
        settings: Settings,
        repository: ReadableRepository,
        marks: Marks,
        lag_s: Callable[[], float],
        collector: Collector | None = None,
        usage: UsageCollector | None = None,
        observations: Observations | None = None,
    ) -> None:
        """`lag_s` returns the last pause of the event loop. `collector` takes the figures of predictions, `usage` what their owners used, and `observations` their rows (default: none)."""
        self.marks = marks
        self._settings = settings
        self._repository = repository
        self._lag_s = lag_s
        self._collector = collector
        self._usage = usage
        self._observations = observations
        self._versions: dict[Key, DirectVersion] = {}
        self._loading: asyncio.TimerHandle | None = None
        self._failures: dict[Key, tuple[str, str, float]] = {}
        """Version -> its sha256, why it is not held, and when that was found."""
        self._watchdog = Watchdog(settings.direct_stuck_s, marks)
        self._watched = False

    def open_for(self, manifest: Manifest, inputs: Sequence[Tensor], *, counted: bool = True) -> DirectVersion | None:
        """Return the version if it can predict the inputs here and now. Otherwise the refusal is counted, unless it is `counted` later."""
        version = self._versions.get(manifest.key)
        if version is None or version.manifest is not manifest:
            return None
        settings = self._settings
        size = len(inputs[0].data) if len(inputs) == 1 else sum(len(tensor.data) for tensor in inputs)
        if inputs[0].rows > settings.direct_max_rows or size > settings.direct_max_bytes:
            reason = "size"
        elif 1000 * self._lag_s() > settings.direct_max_lag_ms:
            reason = "lag"
        elif version.waiting >= _LINE * settings.direct_max_rows:
            reason = "line"
        else:
            return version
        if counted:
            metrics.DIRECT_REFUSED.labels(reason).inc()
        return None

    def hold(self, wanted: Mapping[Key, Manifest]) -> None:
        """Drop the versions that are no longer wanted, and start to load a missing one."""
        now = time.monotonic()
        for key, version in list(self._versions.items()):
            manifest = wanted.get(key)
            if version.slow:
                self._fail(key, version.manifest.sha256, version.slow)
            elif manifest is not None and manifest.sha256 == version.manifest.sha256:
                version.manifest = manifest
                continue
            # Requests that wait in its line are still answered.
            del self._versions[key]
            log.info("Dropped %s@%s from the direct lane", *key)
        for key, (sha256, _, failed_at) in list(self._failures.items()):
            if key not in wanted or wanted[key].sha256 != sha256 or now - failed_at > _RETRY_S:
                del self._failures[key]
        metrics.DIRECT_VERSIONS.set(len(self._versions))
        missing = [key for key in wanted if key not in self._versions and key not in self._failures]
        if missing and self._loading is None:
            self._begin(missing[0], wanted[missing[0]])

    def choice(self, manifest: Manifest) -> Choice:
        """Return the lane of a version that the direct lane should hold."""
        version, failure = self._versions.get(manifest.key), self._failures.get(manifest.key)
        if version is not None and version.manifest.sha256 == manifest.sha256:
            return Choice(
                Lane.DIRECT, "Its manifest sets direct: true." if manifest.direct else "It was compiled, and its answers were compared."
            )
        if failure is not None and failure[0] == manifest.sha256:
            return Choice(Lane.QUEUE, failure[1])
        return Choice(Lane.QUEUE, "This API process has not loaded it yet.")

    def close(self) -> None:
        """Stop the watchdog and remove the marks of this process. Requests that still arrive take the queue."""
        self._versions.clear()
        self._watchdog.stop()
        self.marks.close()

    def _begin(self, key: Key, manifest: Manifest) -> None:
        """Load a version in a thread, which does not keep the process from ending."""
        if not self._watched:
            self._watched = True
            self._watchdog.start()
        loop = asyncio.get_running_loop()
        # A load that hangs is given up, and the next one begins.
        timer = self._loading = loop.call_later(self._settings.load_timeout_s, self._give_up, key, manifest)

        def work() -> None:
            model: Predicts | None = None
            size, reason = 0, ""
            try:
                model, size, reason = self._load(key, manifest)
            except CeleriacError as error:
                reason = error.detail
            except Exception as error:
                log.exception("Loading %s@%s for the direct lane failed", *key)
                reason = error_text(error)
            # The loop is closed if the process has ended meanwhile.
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._loaded, timer, key, manifest, model, size, reason)

        threading.Thread(target=work, name="direct-load", daemon=True).start()

    def _load(self, key: Key, manifest: Manifest) -> tuple[Predicts | None, int, str]:
        """Return the model, the bytes of its files, and why it is not held. Runs in a thread."""
        settings = self._settings
        path = self._repository.artifact(*key)
        size = sum((path.parent / file).stat().st_size for file in (manifest.artifact, *manifest.weights))
        held = list(self._versions.values())
        if len(held) >= settings.direct_max_versions:
            return None, size, f"The process already holds {len(held)} versions (CELERIAC_DIRECT_MAX_VERSIONS)."
        if (total := size + sum(version.size for version in held)) > settings.direct_max_model_bytes:
            limit = f"the limit is {settings.direct_max_model_bytes} (CELERIAC_DIRECT_MAX_MODEL_BYTES)"
            return None, size, f"With its {size} bytes the process would hold files of {total} bytes, and {limit}."
        from app.direct.loading import load  # imports ONNX Runtime and NumPy

        with self.marks.loading(Mark(*key, manifest.sha256)):
            model, seconds = load(manifest, path)
        if 1000 * seconds > settings.direct_max_ms:
            took = f"{1000 * seconds:.3g} ms"
            return None, size, f"Its golden sample took {took}, and the limit is {settings.direct_max_ms:g} ms (CELERIAC_DIRECT_MAX_MS)."
        return model, size, ""

    def _loaded(self, timer: asyncio.TimerHandle, key: Key, manifest: Manifest, model: Predicts | None, size: int, reason: str) -> None:
        timer.cancel()
        if self._loading is not timer:
            # It was given up.
            return
        self._loading = None
        if model is None:
            self._fail(key, manifest.sha256, reason)
            return
        log.info("Predicting with %s@%s on the direct lane", *key)
        settings = self._settings
        self._versions[key] = DirectVersion(
            manifest,
            model,
            self.marks,
            size,
            settings.direct_max_rows,
            settings.direct_max_ms,
            self._collector,
            self._usage,
            self._observations,
        )
        metrics.DIRECT_VERSIONS.set(len(self._versions))

    def _give_up(self, key: Key, manifest: Manifest) -> None:
        self._loading = None
        self._fail(key, manifest.sha256, f"It was not loaded within {self._settings.load_timeout_s:g} s (CELERIAC_LOAD_TIMEOUT_S).")

    def _fail(self, key: Key, sha256: str, reason: str) -> None:
        log.warning("%s@%s takes the queue: %s", *key, reason)
        self._failures[key] = sha256, reason, time.monotonic()
