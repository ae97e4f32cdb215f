"""Aliases of a model, in one small file that is replaced atomically.

An alias leads to a version. One with a canary or a shadow is an object, see `app.core.routes`; promoting the alias ends them.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import EllipsisType
from typing import Final

from app.core.errors import InvalidInput, ModelConflict, ModelUnavailable
from app.core.routes import Route
from app.registry.contents import read_json
from app.registry.staging import write_text

FILE: Final = "aliases.json"
LOCK: Final = f".{FILE}.lock"


def routes(home: Path) -> dict[str, Route]:
    """Return alias -> where it leads. Raises ModelUnavailable if the file is broken."""
    path = home / FILE
    try:
        content = read_json(path)
    except FileNotFoundError:
        return {}
    except ModelUnavailable as error:
        raise ModelUnavailable(f"{path.parent.name}: {error.detail}") from None
    try:
        if not isinstance(content, dict):
            raise ValueError(f"it must be an object, not {type(content).__name__}")
        return {alias: Route.from_json(route) for alias, route in content.items()}
    except (ValueError, TypeError, InvalidInput) as error:
        raise ModelUnavailable(f'{path} is not valid ({error}). Write versions as text, as in {{"production": "3"}}.') from None


def read(home: Path) -> dict[str, str]:
    """Return alias -> version. Raises ModelUnavailable if the file is broken."""
    return {alias: route.version for alias, route in routes(home).items()}


def move(home: Path, alias: str, version: str, expect: str | EllipsisType | None) -> None:
    """Point `alias` to `version`, without a canary or shadow. The caller holds the lock (`alone`).

    Raises ModelConflict if `expect` is given and the alias does not point to it.
    """
    current = routes(home)
    target = current[alias].version if alias in current else None
    if expect is not ... and target != expect:
        detail = f"Alias {alias!r} of {home.name!r} points to {target}, not to {expect}. Read it again, then decide."
        raise ModelConflict(detail, pointer="/alias")
    _write(home, {**current, alias: Route(version)})


def reroute(home: Path, alias: str, expect: Route, route: Route) -> None:
    """Let `alias` lead elsewhere. The caller holds the lock (`alone`). Raises ModelConflict if it does not lead to `expect`."""
    current = routes(home)
    if current.get(alias) != expect:
        raise ModelConflict(f"Alias {alias!r} of {home.name!r} has changed meanwhile. Read it again, then decide.", pointer="/alias")
    _write(home, {**current, alias: route})


def _write(home: Path, current: dict[str, Route]) -> None:
    write_text(home / FILE, json.dumps({alias: current[alias].as_json() for alias in sorted(current)}) + "\n")


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Lock the aliases of a model against all processes on all machines that mount the volume. The lock of a dead process is released."""
    handle = os.open(home / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
