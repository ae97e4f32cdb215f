"""Aliases of a model, in one small file that is replaced atomically."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import EllipsisType
from typing import Final

from app.core.errors import ModelConflict, ModelUnavailable
from app.registry.contents import read_json
from app.registry.staging import write_text

FILE: Final = "aliases.json"
LOCK: Final = f".{FILE}.lock"


def read(home: Path) -> dict[str, str]:
    """Return alias -> version. Raises ModelUnavailable if the file is broken."""
    path = home / FILE
    try:
        versions = read_json(path)
    except FileNotFoundError:
        return {}
    except ModelUnavailable as error:
        raise ModelUnavailable(f"{path.parent.name}: {error.detail}") from None
    if not isinstance(versions, dict) or not all(isinstance(version, str) for version in versions.values()):
        raise ModelUnavailable(f'{path} must be an object of strings, as in {{"production": "3"}}.')
    return versions


def move(home: Path, alias: str, version: str, expect: str | EllipsisType | None) -> None:
    """Point `alias` to `version`. The caller holds the lock (`alone`).

    Raises ModelConflict if `expect` is given and the alias does not point to it.
    """
    versions = read(home)
    if expect is not ... and versions.get(alias) != expect:
        detail = f"Alias {alias!r} of {home.name!r} points to {versions.get(alias)}, not to {expect}. Read it again, then decide."
        raise ModelConflict(detail, pointer="/alias")
    versions[alias] = version
    write_text(home / FILE, json.dumps(dict(sorted(versions.items()))) + "\n")


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Lock the aliases of a model against all processes on all machines that mount the volume. The lock of a dead process is released."""
    handle = os.open(home / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
