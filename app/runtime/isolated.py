"""Run functions in a forked process, so that crashes, hangs and new threads do not affect this process."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from app.core.errors import CeleriacError, ModelUnavailable, error_text, from_dict
from app.runtime.threads import limit_threads

_GRACE_S: Final = 5
_END: Final = b"\n"
"""The end of an answer. JSON on one line does not contain it, and a child of the process may keep the pipe open."""


def isolated(function: Callable[[], Any], timeout_s: float, *, setting: str = "") -> Any:
    """Return what the function returns, as JSON carries it. The process has one thread for each library.

    Raises the CeleriacError that the function raised, and ModelUnavailable with any other exception, or with how the process ended.
    `setting` is the name of the setting that limits the time. Processes that the function started end with its own.
    """
    sys.stdout.flush()  # or the process would write the buffered text again
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _answer(function, writer, timeout_s)
    _lead(pid)
    os.close(writer)
    content = None
    try:
        content = _read(reader, time.monotonic() + timeout_s)
    finally:
        # Also after Ctrl-C, which only this process receives.
        if content is None:
            _kill(pid)
        os.close(reader)
        # Until the process is reaped, no other process can get its number.
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        _kill(pid)
        _, status = os.waitpid(pid, 0)
    if content is None:
        raise ModelUnavailable(f"Its process did not finish within {timeout_s:g} s{f' ({setting})' if setting else ''}.")
    if not content.endswith(_END):
        code = os.waitstatus_to_exitcode(status)
        raise ModelUnavailable(
            f"Its process was killed by {signal.Signals(-code).name}." if code < 0 else f"Its process ended with code {code}."
        )
    answer = json.loads(content)
    if "error" in answer:
        raise from_dict(answer["error"])
    return answer["value"]


def _lead(pid: int) -> None:
    """Let a process lead a group. Both sides call it, because either may be the first that needs the group."""
    with suppress(OSError):
        os.setpgid(pid, pid)


def _kill(pid: int) -> None:
    """End a process, if it runs, and those that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _read(reader: int, until: float) -> bytes | None:
    """Read an answer, or less if the process ends before. Returns None after the timeout."""
    content = b""
    while not content.endswith(_END):
        ready, _, _ = select.select([reader], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            return None
        part = os.read(reader, 1 << 16)
        if not part:
            break
        content += part
    return content


def _answer(function: Callable[[], Any], writer: int, timeout_s: float) -> None:
    try:
        _lead(os.getpid())
        # It ends even if its parent was killed.
        signal.alarm(int(timeout_s + _GRACE_S))
        # The fork did not copy OpenMP's threads. A library that relies on them would block forever.
        limit_threads(1)
        try:
            answer = {"value": function()}
        except CeleriacError as error:
            answer = {"error": error.as_dict()}
        except Exception as error:  # noqa: BLE001 - model code may raise any exception
            answer = {"error": ModelUnavailable(error_text(error)).as_dict()}
        sys.stdout.flush()
        content = memoryview(json.dumps(answer).encode() + _END)
        while content:
            content = content[os.write(writer, content) :]
    finally:
        # Skip the exit handlers of the parent.
        os._exit(0)
