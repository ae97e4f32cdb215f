"""Run several processes as one: start them in order, show one log, restart what dies, stop in reverse.

Existing supervisors start and stop all at once (honcho), or bring daemons, sockets and their own protocol (circus, supervisord).
`up` needs to wait for readiness before the next start, and to stop in reverse order.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from celeriac_cli.errors import CLIError, Exit

from app.cli.program import Process, Program, Show
from app.cli.restarts import WINDOW_S, Restarts

_BETWEEN_CHECKS_S: Final = 0.05
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """Runs programs until it is stopped, and stops only programs that it started.

    `show(name, line)` gets every line that a program writes. `notice(line)` gets what the supervisor itself reports.
    `restarts`: how often a program is restarted within five minutes before the supervisor gives up.
    """

    def __init__(self, show: Show, *, notice: Callable[[str], None] | None = None, restarts: int = 0) -> None:
        """Start nothing yet. Needs a running event loop."""
        self._show = show
        self._notice = notice or (lambda line: show("up", line))
        self._restarts = restarts
        self._supervised: list[_Supervised] = []
        self._gave_up: asyncio.Future[CLIError] = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self, work: Coroutine[None, None, None]) -> None:
        """Run `work`, which starts programs, until it ends or `stop` is called. Then stop all programs, the last started first.

        Raises what `work` raises, and CLIError if a program dies too often.
        """
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.stop)
        main, stopped = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        try:
            await _first({main, stopped, self._gave_up})
            if self._gave_up.done():
                raise self._gave_up.result()
            if main.done():
                main.result()
        finally:
            await _cancel(main, stopped)
            await self._stop_all()
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Drain and stop. A second call kills what still runs."""
        (self._hurry if self._stop.is_set() else self._stop).set()

    async def start(self, *programs: Program) -> None:
        """Start all programs and return when each is ready. Raises CLIError if one is not ready within its timeout."""
        started = [await self._spawn(program) for program in programs]
        await asyncio.gather(*(supervised.wait_until_ready() for supervised in started))

    async def finish(self, program: Program) -> None:
        """Run a program that ends. Raises CLIError unless its exit code is 0."""
        supervised = await self._spawn(program, may_end=True)
        # Shielded: a stop cancels this call, and then waits for the same task.
        await asyncio.shield(supervised.watch)
        self._supervised.remove(supervised)
        if supervised.process.returncode:
            raise CLIError(supervised.exit_message(), Exit.FAILED)

    async def _spawn(self, program: Program, *, may_end: bool = False) -> _Supervised:
        supervised = _Supervised(program, self._show, self._notice, Restarts(self._restarts), may_end=may_end)
        await supervised.spawn()
        supervised.watch = asyncio.create_task(self._watch(supervised))
        self._supervised.append(supervised)
        return supervised

    async def _watch(self, supervised: _Supervised) -> None:
        error = await supervised.keep_running()
        if error is not None and not self._gave_up.done():
            self._gave_up.set_result(error)

    async def _stop_all(self) -> None:
        while self._supervised:
            await self._supervised.pop().stop(self._hurry)


class _Supervised:
    """One program, and the process that runs it at present."""

    process: Process
    watch: asyncio.Task[None]

    def __init__(self, program: Program, show: Show, notice: Callable[[str], None], restarts: Restarts, *, may_end: bool) -> None:
        self.program = program
        self._show = show
        self._notice = notice
        self._restarts = restarts
        self._may_end = may_end
        self._stopping = asyncio.Event()
        self._was_ready = False

    async def spawn(self) -> None:
        self.process = await Process.start(self.program, self._show)

    async def keep_running(self) -> CLIError | None:
        """Restart the program each time it dies. Return when it was stopped or has ended as expected, else why it is given up."""
        while True:
            await self.process.wait()
            if self._may_end or self._stopping.is_set():
                return None
            # A program that ends before it was ever ready has a fault that a restart does not cure.
            curable = self._was_ready or self.process.was_killed
            delay = self._restarts.delay_after_death() if curable else None
            if delay is None:
                return CLIError(self._given_up(), Exit.FAILED)
            when = f"in {delay:g} s" if delay else "now"
            count = f"{self._restarts.count} of {self._restarts.most} restarts within {WINDOW_S / 60:g} minutes"
            self._notice(f"{self.program.name} {self.process.how_it_ended}: restarting it {when} ({count})")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
            if self._stopping.is_set():
                return None
            await self.spawn()
            if self._stopping.is_set():
                self.process.kill()
            announcement = asyncio.create_task(self._announce())
            await self.process.wait()
            await _cancel(announcement)

    async def wait_until_ready(self) -> None:
        """Raises CLIError if the program is not ready within its timeout."""
        reason = await self._not_ready()
        if reason is not None:
            raise CLIError(f"{reason}{self.process.last_lines()}", Exit.FAILED)

    async def stop(self, hurry: asyncio.Event) -> None:
        self._may_end = True
        self._stopping.set()
        if self.process.returncode is None and not hurry.is_set():
            self.process.terminate()
            ended, hurried = asyncio.create_task(self.process.wait()), asyncio.create_task(hurry.wait())
            await _first({ended, hurried}, timeout_s=self.program.drain_s)
            await _cancel(ended, hurried)
        self.process.kill()
        await self.watch

    def exit_message(self) -> str:
        return f"{self.program.name} {self.process.how_it_ended}{self.process.last_lines()}"

    def _given_up(self) -> str:
        often = f" {self._restarts.count} times within {WINDOW_S / 60:g} minutes" if self._restarts.count > 1 else ""
        return f"{self.program.name} {self.process.how_it_ended}{often}, and the rest was stopped{self.process.last_lines()}"

    async def _announce(self) -> None:
        reason = await self._not_ready()
        self._notice(reason or f"{self.program.name} is ready again")

    async def _not_ready(self) -> str | None:
        """None when the program is ready, else what it still waits for when its timeout has passed."""
        waits_for: str | None = "its start"
        check = self.program.readiness
        try:
            async with asyncio.timeout(self.program.timeout_s):
                while waits_for := check and await check():  # noqa: ASYNC110 - another process sets no event here
                    await asyncio.sleep(_BETWEEN_CHECKS_S)
        except TimeoutError:
            return f"{self.program.name} is not ready after {self.program.timeout_s:g} s: {waits_for}"
        self._was_ready = True
        return None


async def _first(futures: set[asyncio.Future[Any]], timeout_s: float | None = None) -> None:
    await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
