"""A program that `celeriac up` runs, and its process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import app
from app.cli.parent_death import end_with_parent

ReadinessCheck = Callable[[], Awaitable[str | None]]
"""Returns None when the program is ready, otherwise what it still waits for."""
Show = Callable[[str, str], None]
"""Receives the name of a program and a line that it wrote."""
_LAST_LINES: Final = 15
PYTHON: Final = (sys.executable, "-P", "-m", "app")
"""Runs one of the server's commands. `-P`: a package `app` in the working directory must not be imported instead."""


def python_path() -> str:
    """PYTHONPATH for `PYTHON`: this package, then the caller's PYTHONPATH, then the working directory with the user's modules."""
    ours = str(Path(app.__file__).parents[1])
    return os.pathsep.join([ours, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), str(Path.cwd())])


@dataclass(frozen=True, slots=True)
class Program:
    """What to run.

    Attributes:
        name: shown before each line that it writes.
        command: the command line.
        readiness: reports whether the program is ready.
        environment: variables beside those of this process.
        timeout_s: how long it may take to become ready.
        drain_s: how long it may take to stop before SIGKILL.
        format: turns a line that it writes into the line that is shown.
    """

    name: str
    command: Sequence[str]
    readiness: ReadinessCheck | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 60.0
    drain_s: float = 10.0
    format: Callable[[str], str] = str


class Process:
    """A running program in its own session. Shows each line that it writes, and remembers the last ones."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process, output: asyncio.StreamReader, show: Show) -> None:
        """Follow a process that has been started; see `start`."""
        self._program = program
        self._process = process
        self._output = output
        self._show = show
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._ended = asyncio.create_task(self._end())

    @classmethod
    async def start(cls, program: Program, show: Show) -> Self:
        """Start a program."""
        # asyncio's own pipe would make `wait` wait for every process that holds it, the children of a dead worker included.
        read, write = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *program.command,
                env=os.environ | program.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write,
                stderr=write,
                # A session of its own, so that Ctrl-C reaches only this process, which then stops the others in order.
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        finally:
            os.close(write)
        return cls(program, process, await _reader(read), show)

    @property
    def returncode(self) -> int | None:
        """None while the process runs; negative if a signal ended it."""
        return self._process.returncode

    @property
    def was_killed(self) -> bool:
        """Whether a signal ended the process."""
        return (self.returncode or 0) < 0

    @property
    def how_it_ended(self) -> str:
        """The end of the process in words."""
        code = self.returncode or 0
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    async def wait(self) -> None:
        """Return when the process has ended, its output is shown and its session is empty."""
        await asyncio.shield(self._ended)

    def terminate(self) -> None:
        """Send SIGTERM."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """Send SIGKILL."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    def last_lines(self) -> str:
        """The end of the output, to append to a sentence; empty if there is none."""
        return "; its last lines:\n" + "\n".join(f"  {line}" for line in self._last) if self._last else ""

    async def _end(self) -> None:
        lines = asyncio.create_task(self._show_lines())
        await self._process.wait()
        with suppress(ProcessLookupError):
            # The children of a killed worker would keep its log open and its memory in use.
            os.killpg(self._process.pid, signal.SIGKILL)
        await asyncio.wait({lines}, timeout=1)
        lines.cancel()
        await asyncio.gather(lines, return_exceptions=True)

    async def _show_lines(self) -> None:
        rest = b""
        while chunk := await self._output.read(1 << 16):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._show_line(line)
        if rest:
            self._show_line(rest)

    def _show_line(self, line: bytes) -> None:
        text = self._program.format(line.decode(errors="replace").rstrip())
        self._last.append(text)
        self._show(self._program.name, text)


async def _reader(pipe: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb"))
    return reader
