"""A process under test, which can be killed, asked to end, frozen and started again. Each leads a process group of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from app.cli.parent_death import end_with_parent

_POLL_S: Final = 0.05


async def until(true: Callable[[], Awaitable[bool]], seconds: float, what: str) -> float:
    """Waits; gives the seconds that it took. Raises TimeoutError."""
    began = time.monotonic()
    while not await true():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"{what} took longer than {seconds:g} s")
        await asyncio.sleep(_POLL_S)  # another process has no event to wait for
    return time.monotonic() - began


class Process:
    """`ready` says whether it does its work; its output is appended to `log`."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], log: Path, ready: Callable[[], Awaitable[bool]]) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._log = log
        self._ready = ready
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def pid(self) -> int:
        assert self._popen is not None, f"{self.name} was never started"
        return self._popen.pid

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._popen = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, start_new_session=True, preexec_fn=end_with_parent
            )

    async def wait_ready(self, seconds: float = 120) -> None:
        async def good() -> bool:
            if not self.alive:
                raise RuntimeError(f"{self.name} ended with {self._popen and self._popen.poll()}: see {self._log}")
            return await self._ready()

        await until(good, seconds, f"the start of {self.name}")

    async def gone(self, seconds: float = 60) -> int:
        """Its exit code. Raises TimeoutError."""

        async def ended() -> bool:
            return not self.alive

        await until(ended, seconds, f"the end of {self.name}")
        assert self._popen is not None
        return int(self._popen.returncode)

    def children(self) -> list[int]:
        try:
            text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        except OSError:
            return []
        return [int(pid) for pid in text.split()]

    def signal(self, number: int) -> None:
        """To the main process alone."""
        if self.alive:
            os.kill(self.pid, number)

    def signal_all(self, number: int) -> None:
        """To the whole group, as the end of a container does; also to what a dead main process left behind."""
        if self._popen is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    async def kill(self) -> None:
        """The whole group."""
        self.signal_all(signal.SIGKILL)
        if self._popen is not None:
            await self.gone()
