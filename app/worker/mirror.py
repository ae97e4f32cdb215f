"""The mirror of a bucket, as the main process of a worker uses it: every network request is made in a process of its own.

The main process forks, and must not wait: its event loop renews leases.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import IO, Any, Final

from app.core.errors import CeleriacError, ModelStoreUnavailable, from_dict
from app.core.promotions import Promotion
from app.registry.bucket.cache import Pull
from app.registry.bucket.counting import count
from app.registry.reading import ReadableRepository
from app.settings import Settings

log = logging.getLogger(__name__)
Key = tuple[str, str]
POLL_S: Final = 60.0
"""Time after which the mirror is compared with the bucket without a notification, and a promotion or a refused version is tried again."""
_RETRY_S: Final = 5.0
_HANGS_S: Final = 300.0
"""Time after which a comparison is given up. A download may take longer."""
_MODULE: Final = "app.registry.bucket.process"


class Mirror:
    """Compares the mirror with the bucket, downloads versions and settles promotions, side by side with everything else."""

    def __init__(self, settings: Settings, repository: ReadableRepository) -> None:
        """Do nothing yet."""
        self._request = {"url": str(settings.models), "root": str(repository.root), "max_bytes": settings.model_cache_bytes}
        self._most = settings.max_loads
        self._comparison: _Process | None = None
        self._due = 0.0
        self._revision: int | None = None
        self._promotions: dict[tuple[str, str], list[Any]] = {}
        self._settled: dict[tuple[str, str], float] = {}
        self._waiting: dict[Key, float] = {}
        self._running: dict[Key, _Process] = {}
        self._refused: dict[Key, float] = {}
        self.trouble = ""
        """Why the last request failed."""

    @property
    def keys(self) -> set[Key]:
        """Versions that are being downloaded, or wait for it."""
        return {*self._waiting, *self._running}

    def open(self, usable: Callable[[], bool]) -> None:
        """Compare once before the worker takes jobs. Waits while the store does not answer, unless an earlier mirror is `usable`."""
        while True:
            self._start_comparison()
            while not self._compared():
                time.sleep(0.05)
            if not self.trouble or usable():
                return
            log.warning("Waiting for the model repository: %s", self.trouble)
            time.sleep(_RETRY_S)

    def notice(self, revision: int | None) -> None:
        """Compare soon if the number of changes, which Redis has, is another one. It is None if Redis does not answer."""
        if revision is not None and revision != self._revision:
            self._revision, self._due = revision, 0.0

    def settle(self, name: str, promotion: Promotion, reason: str) -> None:
        """End a promotion soon."""
        key, now = (name, promotion.id), time.monotonic()
        if now - self._settled.get(key, -POLL_S) >= POLL_S:
            self._settled = {key: at for key, at in self._settled.items() if now - at < POLL_S} | {key: now}
            self._promotions[key] = [name, promotion.as_dict(), reason]
            self._due = 0.0

    def add(self, key: Key) -> None:
        """Download a version."""
        self._refused.pop(key, None)
        self._waiting.setdefault(key, 0.0)

    def discard(self, key: Key) -> None:
        """Do not download a version."""
        self._waiting.pop(key, None)
        self._refused.pop(key, None)
        if process := self._running.pop(key, None):
            process.kill()

    def repeated(self) -> set[Key]:
        """Return the versions whose download failed a while ago: an object may be repaired, or the cache have room."""
        return {key for key, at in self._refused.items() if time.monotonic() - at > POLL_S}

    def advance(self) -> tuple[bool, dict[Key, str]]:
        """Take the next step. Returns whether the mirror may have changed, and the versions that were downloaded or why they were not."""
        compared = self._compared()
        if self._comparison is None and time.monotonic() >= self._due:
            self._start_comparison()
        for key in [key for key, at in self._waiting.items() if time.monotonic() >= at][: self._most - len(self._running)]:
            del self._waiting[key]
            log.info("Downloading %s@%s", *key)
            self._running[key] = _Process(self._request | {"settle": [], "pull": list(key)})
        ended: dict[Key, str] = {}
        for key, process in list(self._running.items()):
            if (reply := process.reply()) is None:
                continue
            del self._running[key]
            if isinstance(reply, ModelStoreUnavailable):
                self._fail(reply)
                self._waiting[key] = time.monotonic() + _RETRY_S
            elif isinstance(reply, CeleriacError):
                self._refused[key] = time.monotonic()
                ended[key] = reply.detail
            else:
                self.trouble = ""
                count(Pull(**reply))
                ended[key] = ""
        return compared, ended

    def stop(self) -> None:
        """End all processes."""
        for process in (*self._running.values(), *([self._comparison] if self._comparison else [])):
            process.kill()
        self._running, self._comparison = {}, None

    def _start_comparison(self) -> None:
        self._comparison = _Process(self._request | {"settle": list(self._promotions.values()), "pull": None}, _HANGS_S)
        self._promotions = {}
        self._due = time.monotonic() + POLL_S

    def _compared(self) -> bool:
        """Return whether a comparison has ended, well or not."""
        if self._comparison is None or (reply := self._comparison.reply()) is None:
            return False
        self._comparison = None
        if isinstance(reply, CeleriacError):
            self._fail(reply)
            self._due = min(self._due, time.monotonic() + _RETRY_S)
        else:
            self.trouble = ""
        return True

    def _fail(self, error: CeleriacError) -> None:
        if not self.trouble:
            log.warning("Keeping the models that are loaded: %s", error.detail)
        self.trouble = error.detail


class _Process:
    """One request to the bucket."""

    def __init__(self, request: dict[str, Any], limit_s: float = float("inf")) -> None:
        # The numbers of this process belong to the worker, which counts what the other one reports.
        environment = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
        line = [sys.executable, "-m", _MODULE]
        self._process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, process_group=0)  # noqa: S603
        self._end = time.monotonic() + limit_s
        with _pipe(self._process.stdin) as pipe:
            pipe.write(json.dumps(request).encode())

    def reply(self) -> dict[str, Any] | CeleriacError | None:
        """Return the answer, the error, or None if the process still works."""
        if self._process.poll() is None:
            if time.monotonic() < self._end:
                return None
            self.kill()
        with _pipe(self._process.stdout) as pipe:
            content = pipe.read()
        try:
            reply = json.loads(content)
        except ValueError:
            return ModelStoreUnavailable(f"The process that reads the bucket ended with code {self._process.returncode}.")
        value: dict[str, Any] = reply.get("value") or {}
        return from_dict(reply["error"]) if "error" in reply else value

    def kill(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe
