"""Processes that the benchmark starts: each in a group of its own, measured through /proc, and ended whatever happens."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.cli.parent_death import end_with_parent

_TICK: Final = os.sysconf("SC_CLK_TCK")
_STOP_S: Final = 15.0


class Trouble(Exception):
    """Something that the benchmark needs is missing or did not start: the message says what to do."""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def until(done: Callable[[], bool], what: str, timeout_s: float = 120.0) -> None:
    """Waits until `done()`; raises Trouble that reports `what` was waited for."""
    end = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > end:
            raise Trouble(f"waited {timeout_s:g} s in vain until {what}")
        time.sleep(0.005)


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds so far, and bytes of memory (shared pages divided by those who share them)."""

    cpu_s: float
    memory: int


class Process:
    """One program and its descendants; its output goes to `log`."""

    def __init__(self, name: str, command: Sequence[str | Path], *, log: Path, env: Mapping[str, str], cwd: Path) -> None:
        self.name = name
        self._log = log
        with log.open("wb") as out:
            self._popen = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd,
                env={**os.environ, **env}, start_new_session=True, preexec_fn=end_with_parent,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._popen.pid

    def pids(self) -> list[int]:
        """Its own and its living descendants'."""
        found = [self.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    found += [int(one) for one in task.read_text().split()]
                except OSError:
                    continue
        return found

    def usage(self) -> Usage:
        cpu, memory = 0.0, 0
        for pid in self.pids():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                cpu += (int(fields[11]) + int(fields[12])) / _TICK
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        memory += int(line.split()[1]) * 1024
            except OSError:
                continue
        return Usage(cpu, memory)

    def wait(self, ready: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Until `ready()`; raises Trouble with the end of its log where it ends first or takes too long."""
        until = time.monotonic() + timeout_s
        while not ready():
            if self._popen.poll() is not None or time.monotonic() > until:
                end = "ended" if self._popen.poll() is not None else f"was not ready after {timeout_s:g} s"
                raise Trouble(f"{self.name} {end}:\n{self._log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)

    def signal(self, number: int) -> None:
        """To every process of its group."""
        if self._popen.poll() is None:
            os.killpg(self.pid, number)

    def stop(self) -> None:
        """Politely, then not; waits until it is gone."""
        if self._popen.poll() is None:
            self.signal(signal.SIGCONT)
            self._popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(_STOP_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()


def answers(url: str, headers: Mapping[str, str] | None = None) -> Callable[[], bool]:
    """Does a GET of `url` answer 200?"""
    request = urllib.request.Request(url, headers=dict(headers or {}))

    def ask() -> bool:
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    return ask
