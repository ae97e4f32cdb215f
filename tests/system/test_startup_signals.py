"""A SIGTERM at any moment of the start ends a process, as PID 1 of its container too, and costs no job an attempt.

The kernel drops a signal for PID 1 that has no handler. Here the signals are ignored when the process is executed, which drops
them in the same way, and the command is the image's entry point. Moments are counted in imports, which Python prints.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.cli.parent_death import end_with_parent
from app.cli.ports import free_port
from app.registry.repository import Repository
from app.runtime.publishing import publish
from tests.misbehaving import Moody
from tests.running import ROOT, Running
from tests.topologies import until

IMPORT = "import time:"
BOUND_S = 25.0
POOL = "startup"


def entry_point() -> list[str]:
    """The image's, with this interpreter."""
    [line] = re.findall(r"^ENTRYPOINT (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return [sys.executable if word == "python" else word for word in json.loads(line)]


class Starting:
    """A process that starts as PID 1 does."""

    def __init__(self, *arguments: str, environment: dict[str, str]) -> None:
        self.lines: list[str] = []
        self._grew = threading.Condition()
        self.process = subprocess.Popen(
            [*entry_point(), *arguments],
            env=os.environ | {"PYTHONPROFILEIMPORTTIME": "1", "PYTHONUNBUFFERED": "1", "CELERIAC_LOG_LEVEL": "debug"} | environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=self._as_pid_1,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    @staticmethod
    def _as_pid_1() -> None:
        end_with_parent()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as output:
            for line in output:
                with self._grew:
                    self.lines.append(line.rstrip())
                    self._grew.notify_all()
        self.process.wait()
        with self._grew:
            self._grew.notify_all()

    def wait_for(self, moment: int | str) -> None:
        """Returns after this many imports, or when a line holds the text; 0 is the moment of the exec."""
        if moment == 0:
            until(lambda: "python" in self._command() or self._blocked(), "it is executed")
            return

        def reached() -> bool:
            if isinstance(moment, int):
                return sum(line.startswith(IMPORT) for line in self.lines) >= moment
            return any(moment in line for line in self.lines)

        with self._grew:
            assert self._grew.wait_for(lambda: reached() or self.process.poll() is not None, 120), self.tail()
        assert self.process.poll() is None, self.tail()

    def _command(self) -> str:
        return Path(f"/proc/{self.process.pid}/comm").read_text()

    def _blocked(self) -> bool:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        [mask] = re.findall(r"^SigBlk:\s+(\w+)$", status, re.MULTILINE)
        return bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)

    def end(self) -> int:
        """The exit code, within the bound."""
        try:
            return self.process.wait(BOUND_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.process.args!r} did not end within {BOUND_S} s: {self.tail()}") from None

    def tail(self) -> str:
        return "\n".join([line for line in self.lines if not line.startswith(IMPORT)][-40:])


Start = Callable[..., Starting]


@pytest.fixture
def start(running: Running, tmp_path: Path) -> Iterator[Start]:
    """Starts a process that shares Redis and models with the running system."""
    started: list[Starting] = []

    def run(process: str, **more: object) -> Starting:
        own = {"STATE": tmp_path, f"{process.upper()}_PORT": free_port()} | more
        found = Starting(process, environment=running.environment | {f"CELERIAC_{name}": str(value) for name, value in own.items()})
        started.append(found)
        return found

    yield run
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait(10)
        one.reader.join(10)


@contextmanager
def queued_job(running: Running) -> Iterator[Callable[[], tuple[str, int]]]:
    """A job in a pool without workers; call the value for its state and attempt."""
    publish(
        Repository(running.models), Moody(), "starter", sample=np.zeros((3, 2)), format="joblib", pool=POOL, version=str(time.time_ns())
    )
    reference = Repository(running.models).versions("starter")[-1]
    id = httpx.post(f"{running.url}/v1/jobs", json={"model": f"starter@{reference}", "inputs": [[0, 0]]}).raise_for_status().json()["id"]

    def read() -> tuple[str, int]:
        job = httpx.get(f"{running.url}/v1/jobs/{id}").json()
        return job["state"], job["attempt"]

    yield read
    httpx.delete(f"{running.url}/v1/jobs/{id}")


def extended(value: int | str) -> Any:
    """A moment between others that are tested in every run."""
    return pytest.param(value, marks=pytest.mark.extended)


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        *((moment, signal.SIGTERM) for moment in (0, 150)),
        (150, signal.SIGINT),
        *(pytest.param(moment, signal.SIGTERM, marks=pytest.mark.extended) for moment in (1, 60, 300)),
        pytest.param(0, signal.SIGINT, marks=pytest.mark.extended),
    ],
)
@pytest.mark.parametrize("process", ["api", "worker", "beat", "flower"])
def test_a_signal_during_the_imports_ends_the_process(process: str, moment: int, number: signal.Signals, start: Start) -> None:
    starting = start(process)
    starting.wait_for(moment)
    starting.process.send_signal(number)
    assert starting.end() == 0, starting.tail()


@pytest.mark.parametrize("moment", [0, extended(200), 500, extended(800), 1100, "Process is warm"])
def test_a_worker_that_is_stopped_while_it_starts_takes_no_job(moment: int | str, start: Start, running: Running) -> None:
    with queued_job(running) as read:
        starting = start("worker", POOL=POOL, PROCESSES=1)
        starting.wait_for(moment)
        starting.process.send_signal(signal.SIGTERM)
        assert starting.end() == 0, starting.tail()
        # When its process is warm, the worker may have taken the job before the signal. Then it has to finish it.
        assert read() in ({("queued", 0), ("succeeded", 1)} if moment == "Process is warm" else {("queued", 0)})


@pytest.mark.parametrize("moment", [600, extended(900), extended("Started server process"), "startup complete"])
def test_an_api_that_is_stopped_late_in_its_start_ends(moment: int | str, start: Start) -> None:
    starting = start("api", API_LINGER_S=0)
    starting.wait_for(moment)
    starting.process.send_signal(signal.SIGTERM)
    assert starting.end() == 0, starting.tail()


@pytest.mark.parametrize("moment", [400, extended("Started parent process"), "Started server process"])
def test_an_api_of_several_processes_ends(moment: int | str, start: Start) -> None:
    starting = start("api", API_PROCESSES=2)
    starting.wait_for(moment)
    starting.process.send_signal(signal.SIGTERM)
    assert starting.end() == 0, starting.tail()


@pytest.mark.parametrize("process", ["api", "worker", "beat", "flower"])
def test_a_process_that_waits_for_redis_ends(process: str, start: Start) -> None:
    starting = start(process, REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    starting.wait_for({"api": "startup complete", "flower": "Failed to capture events"}.get(process, "does not answer"))
    starting.process.send_signal(signal.SIGTERM)
    assert starting.end() == 0, starting.tail()


def test_a_second_signal_during_the_start_changes_nothing(start: Start) -> None:
    starting = start("worker")
    starting.wait_for(150)
    starting.process.send_signal(signal.SIGTERM)
    starting.process.send_signal(signal.SIGTERM)
    assert starting.end() == 0, starting.tail()
