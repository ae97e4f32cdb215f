"""Run functions in a forked process, so that crashes, hangs and new threads do not affect this process."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any

from app.core.errors import CeleriacError, ModelUnavailable, error_text
from app.runtime.threads import limit_threads


def isolated(function: Callable[[], Any], timeout_s: float) -> Any:
    """Return what the function returns, as JSON carries it. The process has one thread for each library.

    Raises ModelUnavailable with what the function raised, or with how the process ended.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _answer(function, writer)
    os.close(writer)
    try:
        content = _read(reader, time.monotonic() + timeout_s)
        if content is None:
            os.kill(pid, signal.SIGKILL)
    finally:
        os.close(reader)
        _, status = os.waitpid(pid, 0)
    if content is None:
        raise ModelUnavailable(f"its process did not finish within {timeout_s:g} s")
    if not content:
        code = os.waitstatus_to_exitcode(status)
        raise ModelUnavailable(
            f"its process was killed by {signal.Signals(-code).name}" if code < 0 else f"its process ended with code {code}"
        )
    answer = json.loads(content)
    if "error" in answer:
        raise ModelUnavailable(answer["error"])
    return answer["value"]


def _read(reader: int, until: float) -> bytes | None:
    """Read until the end of the file. Returns None after the timeout."""
    content = b""
    while True:
        ready, _, _ = select.select([reader], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            return None
        part = os.read(reader, 1 << 16)
        if not part:
            return content
        content += part


def _answer(function: Callable[[], Any], writer: int) -> None:
    try:
        # The fork did not copy OpenMP's threads. A library that relies on them would block forever.
        limit_threads(1)
        try:
            answer = {"value": function()}
        except CeleriacError as error:
            answer = {"error": error.detail}
        except Exception as error:  # noqa: BLE001 - model code may raise any exception
            answer = {"error": error_text(error)}
        content = memoryview(json.dumps(answer).encode())
        while content:
            content = content[os.write(writer, content) :]
    finally:
        # Skip the exit handlers of the parent.
        os._exit(0)
