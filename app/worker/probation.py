"""Models are asked their golden samples in a forked process: one that crashes or hangs there harms nobody.

The parent itself must never predict: OpenMP's threads do not survive a fork, and children would hang for ever.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Mapping

from app.core.errors import CeleriacError
from app.core.models import PYTHON
from app.runtime.model import Model

Key = tuple[str, str]


def probe(models: Mapping[Key, Model], timeout_s: float) -> dict[Key, str]:
    """The models that do not answer as their manifests say, and why. `timeout_s` is for each."""
    refused: dict[Key, str] = {}
    left = dict(models)
    while left:
        answered, end = _ask(left, timeout_s)
        refused |= {key: reason for key, reason in answered.items() if reason}
        for key in answered:
            del left[key]
        if left:
            key = next(iter(left))
            refused[key] = f"the process that asked its golden sample {end}{_hint(left[key])}"
            del left[key]
    return refused


def _hint(model: Model) -> str:
    if model.manifest.load == "child" or model.manifest.format not in (PYTHON, "joblib"):
        return ""
    if model.manifest.format != PYTHON:
        return '. Libraries that start threads while they load can hang after a fork: publish it with load="child"'
    return ". Libraries that start threads while they load can hang after a fork: write `load: child` into its model.yaml"


def _ask(models: Mapping[Key, Model], timeout_s: float) -> tuple[dict[Key, str], str]:
    """What each said, in order, and how the process ended if it did not reach the last."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _answer(models, writer)
    os.close(writer)
    answered: dict[Key, str] = {}
    keys, buffer, end = list(models), b"", ""
    try:
        until = time.monotonic() + timeout_s
        while len(answered) < len(keys):
            ready, _, _ = select.select([reader], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                os.kill(pid, signal.SIGKILL)
                end = f"did not end within {timeout_s:g} s"
                break
            got = os.read(reader, 1 << 16)
            if not got:
                break
            *lines, buffer = (buffer + got).split(b"\n")
            for line in lines:
                answered[keys[len(answered)]] = json.loads(line)
                until = time.monotonic() + timeout_s
    finally:
        os.close(reader)
        _, status = os.waitpid(pid, 0)
    if not end and os.WIFSIGNALED(status):
        end = f"was killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return answered, end or f"ended with exit code {os.waitstatus_to_exitcode(status)}"


def _answer(models: Mapping[Key, Model], writer: int) -> None:
    code = 1
    try:
        for model in models.values():
            reason = ""
            try:
                model.verify()
            except CeleriacError as error:
                reason = error.detail
            os.write(writer, json.dumps(reason).encode() + b"\n")
        code = 0
    finally:
        # Past the parent's own exit handlers.
        os._exit(code)
