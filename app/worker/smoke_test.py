"""Smoke tests: load a version and predict its golden sample in processes of its own, before it is served.

    worker ── fork ──> loads the version ── fork ──> predicts the golden sample

So a version that hangs, crashes or takes long affects no other: several are tested side by side, each within its time limits.
The second fork repeats what happens in service, where pool processes are forked from a main process that holds the model: it finds
a library whose threads do not survive a fork. The main process must never predict, or pool processes would hang.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Final, NoReturn

from app import metrics
from app.core.errors import CeleriacError, error_text
from app.core.models import PYTHON
from app.runtime.model import Model
from app.runtime.threads import limit_threads
from app.settings import Settings

log = logging.getLogger(__name__)
Key = tuple[str, str]
_GRACE_S: Final = 5
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD)
"""Celery's handlers must not run in a process that only tests a version."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of a smoke test. `reason` is empty if the version may be served; `load_s` is how long it took to load."""

    key: Key
    reason: str
    load_s: float


@dataclass(slots=True)
class _Test:
    pid: int
    reader: int
    began: float
    deadline: float
    load_s: float = -1.0
    asking: int = 0
    hint: str = ""
    reason: str | None = None
    hangs: bool = False
    buffer: bytes = b""


@dataclass(slots=True)
class SmokeTests:
    """The smoke tests of a worker. At most `settings.max_loads` run at the same time; the others wait.

    `load` makes a model from a key, or raises CeleriacError.
    """

    load: Callable[[Key], Model]
    settings: Settings
    _waiting: dict[Key, None] = field(default_factory=dict)
    _running: dict[Key, _Test] = field(default_factory=dict)

    @property
    def keys(self) -> set[Key]:
        """Versions whose test has not ended."""
        return {*self._waiting, *self._running}

    def add(self, key: Key) -> None:
        """Test a version, from the beginning if its test has begun."""
        self.discard(key)
        self._waiting[key] = None

    def discard(self, key: Key) -> None:
        """Stop the test of a version."""
        self._waiting.pop(key, None)
        if test := self._running.pop(key, None):
            test.hangs = True
            _end(test)

    def stop(self) -> None:
        """Stop all tests."""
        for key in self.keys:
            self.discard(key)

    def advance(self, wait_s: float = 0.0, *, start: bool = True) -> list[Verdict]:
        """Start tests that wait, and return the verdicts of those that ended within `wait_s`.

        With `start` false none is started: no process may be forked while a thread of this one loads a model.
        """
        while start and self._waiting and len(self._running) < self.settings.max_loads:
            key = next(iter(self._waiting))
            del self._waiting[key]
            log.info("Loading %s@%s", *key)
            try:
                self._running[key] = self._fork(key)
            except OSError as error:
                log.warning("Cannot start a process to load %s@%s, trying again: %s", *key, error)
                self._waiting[key] = None
                break
        # Not `select`, which takes no file descriptor above 1023.
        ready = wait([test.reader for test in self._running.values()], wait_s)
        verdicts = []
        for key, test in list(self._running.items()):
            if (test.reader in ready and self._ended(test)) or self._overdue(test):
                del self._running[key]
                ended = _end(test)
                reason = ended if test.reason is None else test.reason
                metrics.SMOKE_TESTS.labels("failed" if reason else "passed").inc()
                verdicts.append(Verdict(key, reason, test.load_s))
        return verdicts

    def _fork(self, key: Key) -> _Test:
        reader, writer = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            os.close(reader)
            os.close(writer)
            raise
        if pid == 0:
            self._test(key, writer)
        os.close(writer)
        now = time.monotonic()
        return _Test(pid, reader, now, now + self.settings.load_timeout_s)

    def _ended(self, test: _Test) -> bool:
        """Read what the processes report. Return whether the test has ended; the pipe ends with the processes."""
        data = os.read(test.reader, 1 << 16)
        *lines, test.buffer = (test.buffer + data).split(b"\n")
        for line in lines:
            report = json.loads(line)
            if "asking" in report:
                test.load_s = time.monotonic() - test.began
                test.deadline = time.monotonic() + self.settings.probe_timeout_s
                test.asking, test.hint = report["asking"], report["hint"]
            else:
                test.reason = report["reason"]
        return not data or test.reason is not None

    def _overdue(self, test: _Test) -> bool:
        if test.reason is None and time.monotonic() > test.deadline:
            limit, setting = self.settings.load_timeout_s, "CELERIAC_LOAD_TIMEOUT_S"
            what = "was not loaded"
            if test.asking:
                limit, setting, what = self.settings.probe_timeout_s, "CELERIAC_PROBE_TIMEOUT_S", "did not answer its golden sample"
            test.reason = f"it {what} within {limit:g} s ({setting}){test.hint}"
            test.hangs = True
            return True
        return False

    def _test(self, key: Key, writer: int) -> NoReturn:
        """Run the test, in the forked process."""
        try:
            _isolate(writer, self.settings.load_timeout_s + self.settings.probe_timeout_s + _GRACE_S)
            try:
                model = self.load(key)
            except BaseException as error:  # noqa: BLE001 code of the version may raise anything
                _report(writer, reason=_reason(error))
                os._exit(0)
            asking = os.fork()
            if asking == 0:
                self._ask(model, writer)
            _report(writer, asking=asking, hint=_hint(model))
            _, status = os.waitpid(asking, 0)
            if status:
                _report(writer, reason=f"the process that asked its golden sample {_how(status)}{_hint(model)}")
        finally:
            # Without the exit handlers of the main process.
            os._exit(0)

    def _ask(self, model: Model, writer: int) -> NoReturn:
        try:
            signal.alarm(int(self.settings.probe_timeout_s + _GRACE_S) + 1)
            limit_threads(self.settings.threads)
            reason = ""
            try:
                model.verify()
            except CeleriacError as error:
                reason = error.detail
            _report(writer, reason=reason)
        except BaseException as error:  # noqa: BLE001 code of the version may raise anything
            _report(writer, reason=_reason(error))
        finally:
            os._exit(0)


def _isolate(writer: int, limit_s: float) -> None:
    """Share nothing with the worker: neither its signal handlers nor its connections. End even if the worker is killed."""
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.alarm(int(limit_s) + 1)
    null = os.open(os.devnull, os.O_RDWR)
    for handle in [int(path.name) for path in Path("/dev/fd").iterdir()]:
        if handle > 2 and handle not in (writer, null):
            # Not closed: an object of the main process would close the number later, when it belongs to another file.
            with suppress(OSError):
                os.dup2(null, handle)


def _report(writer: int, **report: Any) -> None:
    os.write(writer, json.dumps(report).encode() + b"\n")


def _reason(error: BaseException) -> str:
    return error.detail if isinstance(error, CeleriacError) else f"it cannot be loaded: {error_text(error)}"


def _hint(model: Model) -> str:
    if model.manifest.load == "child" or model.manifest.format not in (PYTHON, "joblib"):
        return ""
    if model.manifest.format != PYTHON:
        return '. Libraries that start threads while they load can hang after a fork: publish it with load="child"'
    return ". Libraries that start threads while they load can hang after a fork: write `load: child` into its model.yaml"


def _end(test: _Test) -> str:
    """End both processes. Return how the first one ended, as the reason of a test that reported none."""
    for pid in (test.asking, test.pid) if test.hangs and test.asking else (test.pid,):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os.close(test.reader)
    _, status = os.waitpid(test.pid, 0)
    return f"the process that loaded it {_how(status)}"


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"was killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"ended with exit code {os.waitstatus_to_exitcode(status)}"
