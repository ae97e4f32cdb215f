"""Real processes under one roof: started one after the other as they get ready, shown in one log, stopped in reverse.

Ready-made supervisors start all at once and stop all at once (honcho), or bring daemons, sockets and a protocol of their
own (circus, supervisord); what `up` needs is a gate before the next start and an order in the stop.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from app.cli.exits import Exit, Trouble
from app.cli.orphans import end_with_parent

Probe = Callable[[], Awaitable[str | None]]
"""None when the program is ready, else what it still waits for."""
_BETWEEN_PROBES_S: Final = 0.05
_LAST_LINES: Final = 15


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. `patience_s`: how long it may take to get ready. `drain_s`: how long it may take to stop before SIGKILL."""

    name: str
    command: Sequence[str]
    probe: Probe | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    patience_s: float = 60.0
    drain_s: float = 10.0


class Supervisor:
    """Ends what it started, and only that. `show(name, line)` gets every line that a program writes."""

    def __init__(self, show: Callable[[str, str], None]) -> None:
        self._show = show
        self._running: list[_Running] = []
        self._died: asyncio.Future[Trouble] = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self, work: Coroutine[None, None, None]) -> None:
        """Runs `work`, which starts programs, until it ends or somebody asks to stop; then stops all, the last started first.

        Raises what `work` raises, and Trouble where a program dies by itself.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.stop)
        main, asked = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        try:
            await _first({main, asked, self._died})
            if self._died.done():
                raise self._died.result()
            if main.done():
                main.result()
        finally:
            await _cancel(main, asked)
            await self._stop_all()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Once: drain and stop. Once more: hurry."""
        (self._hurry if self._stop.is_set() else self._stop).set()

    async def start(self, *programs: Program) -> None:
        """Starts all of them and returns when each is ready. Raises Trouble where one is not within its patience."""
        started = [await self._spawn(program) for program in programs]
        await asyncio.gather(*(one.get_ready() for one in started))

    async def finish(self, program: Program) -> None:
        """Runs a program that ends by itself. Raises Trouble unless its exit code is 0."""
        running = await self._spawn(program, may_end=True)
        await running.watch
        self._running.remove(running)
        if running.process.returncode:
            raise Trouble(running.obituary(), Exit.FAILED)

    async def _spawn(self, program: Program, *, may_end: bool = False) -> _Running:
        # A pipe of our own: asyncio's makes `wait` wait for whoever holds the pipe, the children of a dead worker too.
        read, write = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *program.command,
                env=os.environ | program.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write,
                stderr=write,
                # A session of its own: Ctrl-C reaches this process alone, which then stops the others in order.
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        finally:
            os.close(write)
        running = _Running(program, process, await _reader(read), self._show, may_end)
        running.watch = asyncio.create_task(self._watch(running))
        self._running.append(running)
        return running

    async def _watch(self, running: _Running) -> None:
        await running.end()
        if not running.may_end and not self._died.done():
            self._died.set_result(Trouble(running.obituary(), Exit.FAILED))

    async def _stop_all(self) -> None:
        while self._running:
            await self._running.pop().stop(self._hurry)


@dataclass(slots=True)
class _Running:
    program: Program
    process: asyncio.subprocess.Process
    output: asyncio.StreamReader
    show: Callable[[str, str], None]
    may_end: bool
    watch: asyncio.Task[None] = field(init=False)
    last: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))

    async def end(self) -> None:
        """Returns when it has ended, with what it wrote shown and nothing left of its session."""
        lines = asyncio.create_task(self._show_lines())
        await self.process.wait()
        with suppress(ProcessLookupError):
            # The children of a worker that was killed: they would hold its log open, and its memory.
            os.killpg(self.process.pid, signal.SIGKILL)
        await asyncio.wait({lines}, timeout=1)
        await _cancel(lines)

    async def _show_lines(self) -> None:
        rest = b""
        while chunk := await self.output.read(1 << 16):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._show_line(line)
        if rest:
            self._show_line(rest)

    async def get_ready(self) -> None:
        waits_for: str | None = "its first sign of life"
        try:
            async with asyncio.timeout(self.program.patience_s):
                while waits_for := self.program.probe and await self.program.probe():  # noqa: ASYNC110 - another process sets no event of ours
                    await asyncio.sleep(_BETWEEN_PROBES_S)
        except TimeoutError:
            sentence = f"{self.program.name} is not ready after {self.program.patience_s:g} s: {waits_for}"
            raise Trouble(f"{sentence}{self._last_lines()}", Exit.FAILED) from None

    async def stop(self, hurry: asyncio.Event) -> None:
        self.may_end = True
        if self.process.returncode is None and not hurry.is_set():
            self.process.terminate()
            ended, asked = asyncio.create_task(self.process.wait()), asyncio.create_task(hurry.wait())
            await _first({ended, asked}, timeout_s=self.program.drain_s)
            await _cancel(ended, asked)
        if self.process.returncode is None:
            self.process.kill()
        await self.watch

    def obituary(self) -> str:
        code = self.process.returncode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return f"{self.program.name} {how}, and the rest was stopped{self._last_lines()}"

    def _show_line(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        self.last.append(text)
        self.show(self.program.name, text)

    def _last_lines(self) -> str:
        return "; its last lines:\n" + "\n".join(f"  {line}" for line in self.last) if self.last else ""


async def _reader(pipe: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb"))
    return reader


async def _first(futures: set[asyncio.Future[Any]], timeout_s: float | None = None) -> None:
    await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
