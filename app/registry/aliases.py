"""A model's aliases: one small file, replaced whole, so that a reader never sees half of it."""

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
    """Alias -> version. Raises ModelUnavailable where the file is broken."""
    path = home / FILE
    try:
        found = read_json(path)
    except FileNotFoundError:
        return {}
    except ModelUnavailable as error:
        raise ModelUnavailable(f"{path.parent.name}: {error.detail}") from None
    if not isinstance(found, dict) or not all(isinstance(version, str) for version in found.values()):
        raise ModelUnavailable(f'{path} must be an object of strings, as in {{"production": "3"}}')
    return found


def move(home: Path, alias: str, version: str | None, expect: str | EllipsisType | None) -> None:
    """Points `alias` to `version`, or takes it away (None). To be called `alone`.

    Raises ModelConflict unless it points to `expect`, where that is given.
    """
    found = read(home)
    if expect is not ... and found.get(alias) != expect:
        told = f"the alias {alias!r} of {home.name!r} points to {found.get(alias)}, not to {expect}: look again, then decide"
        raise ModelConflict(told, pointer="/alias")
    if version is None:
        found.pop(alias, None)
    else:
        found[alias] = version
    write_text(home / FILE, json.dumps(dict(sorted(found.items()))) + "\n")


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Among the processes of every machine that mounts the volume; a process that dies lets go."""
    handle = os.open(home / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
