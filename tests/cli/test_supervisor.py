"""The supervisor over tiny real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from celeriac_cli.errors import CLIError, Exit

from app.cli.program import Program, ReadinessCheck
from app.cli.restarts import WINDOW_S, Restarts
from app.cli.supervisor import Supervisor

pytestmark = pytest.mark.slow

# Writes `up` when it runs, `down` when SIGTERM came; `{extra}` is what it does in between.
SCRIPT = """
import signal, sys, time, os
def down(*_): print("down", flush=True); sys.exit(0)
signal.signal(signal.SIGTERM, {handler})
{extra}
print("up", flush=True)
while True: signal.pause()
"""


class Log:
    """What the programs wrote, and an event for each line."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._new = asyncio.Event()

    def show(self, name: str, line: str) -> None:
        self.lines.append(f"{name} {line}")
        self._new.set()

    async def until(self, line: str, times: int = 1) -> None:
        async with asyncio.timeout(60):
            while self.lines.count(line) < times:
                self._new.clear()
                await self._new.wait()

    def pids(self, name: str) -> list[int]:
        return [int(line.split()[2]) for line in self.lines if line.startswith(f"{name} pid ")]

    def wrote(self, line: str) -> ReadinessCheck:
        async def check() -> str | None:
            return None if line in self.lines else f"the line {line!r}"

        return check


@pytest.fixture
def log() -> Log:
    return Log()


def program(log: Log, name: str, *, handler: str = "down", extra: str = "", ready: str = "up", **bounds: Any) -> Program:
    command = [sys.executable, "-c", SCRIPT.format(handler=handler, extra=extra)]
    return Program(name, command, log.wrote(f"{name} {ready}"), {}, **bounds)


def runs(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


async def gone(pid: int) -> None:
    async with asyncio.timeout(60):
        while runs(pid):  # noqa: ASYNC110 - another's child sends us no event
            await asyncio.sleep(0.01)


async def test_the_next_is_started_only_when_the_one_before_is_ready(log: Log) -> None:
    supervisor = Supervisor(log.show)

    async def work() -> None:
        await supervisor.start(program(log, "first", extra="time.sleep(0.2)"))
        await supervisor.start(program(log, "second"))

    await supervisor.run(work())
    assert [line for line in log.lines if line.endswith("up")] == ["first up", "second up"]


async def test_they_are_stopped_in_the_reverse_order_of_their_start(log: Log) -> None:
    supervisor = Supervisor(log.show)

    async def work() -> None:
        await supervisor.start(program(log, "redis"))
        await supervisor.start(program(log, "worker"), program(log, "api"))

    await supervisor.run(work())
    assert [line for line in log.lines if line.endswith("down")] == ["api down", "worker down", "redis down"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_stops_all_in_peace(log: Log, number: signal.Signals) -> None:
    supervisor = Supervisor(log.show)

    async def work() -> None:
        await supervisor.start(program(log, "api"))
        os.kill(os.getpid(), number)
        await asyncio.Event().wait()

    await supervisor.run(work())
    assert log.lines == ["api up", "api down"]


async def test_one_that_dies_is_named_with_its_exit_code_and_last_lines_and_the_rest_is_stopped(log: Log) -> None:
    supervisor = Supervisor(log.show)

    async def work() -> None:
        await supervisor.start(program(log, "redis"))
        await supervisor.start(program(log, "worker", extra="print('no model'); sys.exit(3)"))

    with pytest.raises(CLIError, match="worker ended with exit code 3") as caught:
        await supervisor.run(work())
    assert caught.value.exit == Exit.FAILED
    assert "no model" in caught.value.sentence
    assert log.lines[-1] == "redis down"


async def test_one_that_is_killed_is_named_with_the_signal_and_its_children_go_with_it(log: Log) -> None:
    supervisor = Supervisor(log.show)
    fork = "child = os.fork()\nif child: print(f'pids {os.getpid()} {child}', flush=True)\nelse: time.sleep(60)"

    async def work() -> None:
        await supervisor.start(program(log, "worker", extra=fork))
        os.kill(int(log.lines[0].split()[2]), signal.SIGKILL)
        await asyncio.Event().wait()

    with pytest.raises(CLIError, match="worker was killed by SIGKILL"):
        await supervisor.run(work())
    await gone(int(log.lines[0].split()[3]))


async def test_a_program_that_dies_is_restarted_and_the_rest_runs_on(log: Log) -> None:
    supervisor = Supervisor(log.show, restarts=3)
    pid = "print(f'pid {os.getpid()}', flush=True)"

    async def work() -> None:
        await supervisor.start(program(log, "redis", extra=pid), program(log, "worker", extra=pid))
        first = log.pids("worker")
        os.kill(first[0], signal.SIGKILL)
        await log.until("up worker is ready again")
        await log.until("worker up", times=2)
        assert len(log.pids("worker")) == 2
        assert len(log.pids("redis")) == 1

    async with asyncio.timeout(60):
        await supervisor.run(work())
    assert "up worker was killed by SIGKILL: restarting it now (1 of 3 restarts within 5 minutes)" in log.lines
    assert log.lines[-2:] == ["worker down", "redis down"]


async def test_a_program_that_dies_again_and_again_is_given_up_with_its_last_lines(log: Log) -> None:
    supervisor = Supervisor(log.show, restarts=2)
    kill_later = "import threading; threading.Timer(0.2, lambda: (print('out of luck', flush=True), os._exit(9))).start()"

    async def work() -> None:
        await supervisor.start(program(log, "redis"), program(log, "worker", extra=kill_later))
        await asyncio.Event().wait()

    async with asyncio.timeout(60):
        with pytest.raises(CLIError, match="worker ended with exit code 9 3 times within 5 minutes, and the rest was stopped") as caught:
            await supervisor.run(work())
    assert "out of luck" in caught.value.sentence
    assert log.lines.count("worker up") == 3
    assert log.lines[-1] == "redis down"


async def test_a_stop_between_a_death_and_the_restart_is_not_held_up(log: Log) -> None:
    supervisor = Supervisor(log.show, restarts=9)
    restarts = Restarts(9, lambda: 0.0)
    assert [restarts.delay_after_death() for _ in range(10)] == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, None]
    die_later = "import threading; threading.Timer(0.5, lambda: os._exit(9)).start()"

    async def work() -> None:
        await supervisor.start(program(log, "worker", extra=die_later))
        await log.until("up worker ended with exit code 9: restarting it in 4 s (4 of 9 restarts within 5 minutes)")

    async with asyncio.timeout(60):
        await supervisor.run(work())
    assert log.lines.count("worker up") == 4


def test_deaths_of_long_ago_do_not_count() -> None:
    now = 0.0
    restarts = Restarts(2, lambda: now)
    for _ in range(20):
        assert restarts.delay_after_death() == 0.0
        now += WINDOW_S + 1


async def test_a_program_that_never_gets_ready_is_reported_with_what_it_waits_for(log: Log) -> None:
    supervisor = Supervisor(log.show)
    with pytest.raises(CLIError, match=r"api is not ready after 0\.2 s: the line 'api never'"):
        await supervisor.run(supervisor.start(program(log, "api", ready="never", timeout_s=0.2)))


async def test_one_that_ignores_sigterm_is_killed_after_its_drain(log: Log) -> None:
    supervisor = Supervisor(log.show)
    async with asyncio.timeout(60):
        await supervisor.run(supervisor.start(program(log, "stubborn", handler="signal.SIG_IGN", drain_s=0.1)))
    assert log.lines == ["stubborn up"]


async def test_a_stop_while_a_program_is_awaited_that_ends_stops_all_in_peace(log: Log) -> None:
    supervisor = Supervisor(log.show)

    async def work() -> None:
        await supervisor.start(program(log, "redis"))
        await asyncio.gather(supervisor.finish(program(log, "models")), impatient())

    async def impatient() -> None:
        await log.until("models up")
        supervisor.stop()

    async with asyncio.timeout(60):
        await supervisor.run(work())
    assert log.lines[-2:] == ["models down", "redis down"]


async def test_a_second_signal_hurries(log: Log) -> None:
    supervisor = Supervisor(log.show)
    slow = "lambda *_: print('drains', flush=True)"

    async def work() -> None:
        await supervisor.start(program(log, "worker", handler=slow, drain_s=60))
        supervisor.stop()
        await asyncio.Event().wait()

    async def impatient() -> None:
        await log.until("worker drains")
        supervisor.stop()

    async with asyncio.timeout(60):
        await asyncio.gather(supervisor.run(work()), impatient())


async def test_a_line_of_any_length_is_shown_whole(log: Log) -> None:
    supervisor = Supervisor(log.show)
    await supervisor.run(supervisor.start(program(log, "api", extra="print('x' * 300_000)")))
    assert len(log.lines[0]) == 300_000 + len("api ")


async def test_a_killed_supervisor_leaves_nobody_behind() -> None:
    script = """
import asyncio, sys
from app.cli.program import Program
from app.cli.supervisor import Supervisor
async def ready(): return None
async def main():
    supervisor = Supervisor(lambda name, line: print(line, flush=True))
    await supervisor.run(work(supervisor))
async def work(supervisor):
    child = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    await supervisor.start(Program("child", [sys.executable, "-c", child], ready))
    await asyncio.Event().wait()
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    child = int(await process.stdout.readline())
    process.kill()
    await process.wait()
    await gone(child)
