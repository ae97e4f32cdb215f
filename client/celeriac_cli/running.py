"""The `celeriac up` that runs in this folder, found by the file that it holds locked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

FILE: Final = "up.json"
"""In the folder of CELERIAC_STATE. The operating system releases its lock when `up` ends, however it ends."""


def read(state: Path) -> dict[str, Any]:
    """Return `{pid, url, flower_url, worker_url, redis_url, models}` of the running `up`, or an empty dict if none runs.

    A relative `state` is looked for in the working directory and in the folders above it, as git looks for `.git`.
    """
    for folder in _folders(state):
        if record := _held(folder / FILE):
            return record
    return {}


def _folders(state: Path) -> Iterator[Path]:
    if state.is_absolute():
        yield state
        return
    current = Path.cwd()
    for folder in (current, *current.parents):
        yield folder / state


def _held(path: Path) -> dict[str, Any]:
    try:
        import fcntl
    except ImportError:  # Windows, where no server runs
        return {}
    try:
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return dict(json.loads(file.read() or "{}"))
    except (OSError, ValueError):
        pass
    return {}
