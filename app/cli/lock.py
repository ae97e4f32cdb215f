"""One `up` a checkout: a file that is locked while it runs, and tells others where."""

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
    """Holds the lock while the block runs, and gives a function that tells others about us. The system lets go with the process.

    Raises CLIError where another holds it, or the folder cannot be written.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        handle = os.open(state / FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CLIError(
            f"{state} cannot be written ({error.strerror}): allow it, or set CELERIAC_STATE to another folder", Exit.REFUSED
        ) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = read(state)
            told = f"`celeriac up` runs here already (process {other.get('pid')}{', ' + other['url'] if 'url' in other else ''})"
            raise CLIError(f"{told}: use that one, or stop it with Ctrl-C or `kill {other.get('pid')}`", Exit.CONFLICT) from None

        def tell(about: dict[str, Any]) -> None:
            os.truncate(handle, 0)
            os.pwrite(handle, json.dumps({"pid": os.getpid()} | about).encode(), 0)

        tell({})
        yield tell
    finally:
        os.close(handle)
