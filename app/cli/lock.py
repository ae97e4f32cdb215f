"""One `celeriac up` per checkout: a file that is locked while it runs, and says where it runs.

`fcntl` rather than the package filelock: the locked file is also the record, and the commands of the client read both without a
dependency.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.running import FILE, read


@contextmanager
def held(state: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Hold the lock while the block runs. Yields a function that publishes facts about this process in the file.

    The operating system releases the lock when the process ends. Raises CLIError if another process holds it, or the folder cannot be
    written.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        handle = os.open(state / FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CLIError(
            f"{state} cannot be written ({error.strerror}). Allow it, or set CELERIAC_STATE to another folder.", Exit.REFUSED
        ) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = read(state)
            message = f"`celeriac up` already runs here (process {other.get('pid')}{', ' + other['url'] if 'url' in other else ''})"
            raise CLIError(f"{message}. Use that one, or stop it with Ctrl-C or `kill {other.get('pid')}`.", Exit.CONFLICT) from None

        def publish(facts: dict[str, Any]) -> None:
            os.truncate(handle, 0)
            os.pwrite(handle, json.dumps({"pid": os.getpid()} | facts).encode(), 0)

        publish({})
        yield publish
    finally:
        os.close(handle)
