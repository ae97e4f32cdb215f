"""The handlers that a process has before its server installs its own. Signals are ignored at the exec, as for PID 1."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.running import ROOT

pytestmark = pytest.mark.slow


def ignored() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def program(command: str, code: str) -> subprocess.Popen[str]:
    """Runs `code` after the handlers of a command are installed; returns when it has printed its first line."""
    lines = f"import os, signal, sys, time\nfrom app import startup\nstartup.exit_on_signals({command!r})\n{code}"
    process = subprocess.Popen([sys.executable, "-c", lines], cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=ignored)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def end_of(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    """The exit code, and what it printed since."""
    process.send_signal(number)
    rest, _ = process.communicate(timeout=60)
    return process.returncode, rest


WAIT = "print('ready', flush=True)\ntime.sleep(600)"


@pytest.mark.parametrize(
    ("command", "number", "code"),
    [
        *((server, number, 0) for server in ("api", "worker", "beat", "flower", "up") for number in (signal.SIGTERM, signal.SIGINT)),
        ("models", signal.SIGTERM, 143),
        ("", signal.SIGTERM, 143),
    ],
)
def test_a_signal_ends_a_command(command: str, number: signal.Signals, code: int) -> None:
    assert end_of(program(command, WAIT), number) == (code, "")


def test_what_a_block_has_to_clean_up_is_cleaned_up() -> None:
    code = "try:\n    print('ready', flush=True)\n    time.sleep(600)\nfinally:\n    print('cleaned', flush=True)"
    assert end_of(program("worker", code), signal.SIGTERM) == (0, "cleaned\n")


def test_code_that_swallows_the_exit_is_ended_all_the_same() -> None:
    code = "print('ready', flush=True)\nwhile True:\n    try:\n        time.sleep(600)\n    except BaseException:\n        pass"
    assert end_of(program("worker", code), signal.SIGTERM) == (0, "")


def test_a_main_thread_that_cannot_be_interrupted_does_not_hold_up_the_end() -> None:
    """Model code may be stuck in a library. Here the main thread blocks the signal, so that its handler never runs."""
    code = "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\nprint('ready', flush=True)\ntime.sleep(600)"
    assert end_of(program("worker", code), signal.SIGTERM) == (0, "")


def test_a_child_that_was_forked_meanwhile_is_killed_by_the_signal() -> None:
    code = (
        "reader, writer = os.pipe()\npid = os.fork()\nif not pid:\n    os.write(writer, b'up')\n    time.sleep(600)\n    os._exit(3)\n"
        "os.read(reader, 2)\nos.kill(pid, signal.SIGTERM)\n_, status = os.waitpid(pid, 0)\nprint('ready', flush=True)\n"
        "print(os.waitstatus_to_exitcode(status), flush=True)\ntime.sleep(600)"
    )
    process = program("worker", code)
    assert process.stdout
    assert process.stdout.readline() == f"{-signal.SIGTERM}\n"
    assert end_of(process, signal.SIGTERM) == (0, "")


def test_a_signal_that_the_entry_point_has_blocked_is_not_lost() -> None:
    code = "import os, signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\nos.kill(os.getpid(), signal.SIGTERM)\nfrom app import startup\nstartup.exit_on_signals('worker')\ntime.sleep(600)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, preexec_fn=ignored, timeout=60, check=False).returncode == 0


def test_nothing_but_the_standard_library_is_imported_before_the_handlers() -> None:
    def modules(line: str) -> set[str]:
        environment: dict[str, Any] = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        printed = subprocess.run(
            [sys.executable, "-c", f"{line}; print(*sys.modules)"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        return {name.partition(".")[0] for name in printed.stdout.split()}

    assert modules("import sys, app.__main__") - modules("import sys") - set(sys.stdlib_module_names) == {"app"}
