"""The process that checks an uploaded model: `app.runtime.uploads`, which this process must not import."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from app.core.errors import CeleriacError, InvalidInput, from_dict
from app.core.models import Manifest
from app.settings import Settings

_MODULE: Final = "app.runtime.uploads"
_START_S: Final = 60.0
"""Time to import the libraries, beside the time that the model may take to load."""
_KEPT: Final = ("HOME", "LANG", "LD_LIBRARY_PATH", "LD_PRELOAD", "PATH", "PYTHONPATH", "TMPDIR", "TZ", "VIRTUAL_ENV")
"""Variables that the process gets. The others may hold the password of Redis."""


def check(name: str, folder: Path, stage: Path, settings: Settings, options: dict[str, Any]) -> Manifest:
    """Load the model in a folder in a process of its own, write the artifact of its version into an empty folder, and return the manifest.

    Args:
        name: Name of the model.
        folder: What the caller sent.
        stage: The empty folder.
        settings: Bounds of time and memory.
        options: Further options of `publish_any`.

    Raises:
        InvalidInput: The model is not valid, does not load in time or within its memory, or crashes.
        OSError: The disk is full.
    """
    request = {
        "folder": str(folder),
        "stage": str(stage),
        "name": name,
        "memory_mb": settings.publish_memory_mb,
        "options": {**options, "timeout_s": settings.load_timeout_s},
    }
    environment = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("LC_")}
    line = [sys.executable, "-m", _MODULE]
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True, process_group=0)  # noqa: S603
    try:
        answer, _ = process.communicate(json.dumps(request), settings.load_timeout_s + _START_S)
    except subprocess.TimeoutExpired:
        detail = f"The model was not checked within {settings.load_timeout_s:g} s (CELERIAC_LOAD_TIMEOUT_S)."
        raise InvalidInput(detail, pointer="/artifact") from None
    finally:
        # Also what the model has started.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    try:
        reply: dict[str, Any] = json.loads(answer)
    except ValueError:
        raise InvalidInput(f"The check of the model ended early, with code {process.returncode}.", pointer="/artifact") from None
    if "os_error" in reply:
        raise OSError(*reply["os_error"])
    if "error" in reply:
        raise _of_caller(from_dict(reply["error"]), folder)
    return Manifest.from_dict(reply["manifest"])


def _of_caller(error: CeleriacError, folder: Path) -> CeleriacError:
    """Return an error as the caller should see it: without the path of the folder, which is gone when they read it."""
    detail = error.detail.replace(f"{folder}/", "").replace(str(folder), "The archive")
    return InvalidInput(detail, pointer=error.pointer or "/artifact")
