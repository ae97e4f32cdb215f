"""Folders that appear atomically: written under a hidden name in the same parent, flushed to disk, then renamed."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PREFIX: Final = ".staging-"
STALE_S: Final = 3600.0
"""Age in seconds after which a staging folder without writes counts as left by a crash. Not every kind of volume supports locks."""


@contextmanager
def folder(home: Path, tag: str = "") -> Iterator[Path]:
    """Create an empty hidden folder in `home` and delete it afterwards unless it was settled. Deletes folders that crashes left there."""
    _sweep(home)
    stage = home / f"{PREFIX}{tag}{secrets.token_hex(8)}"
    stage.mkdir()  # not mkdtemp: its 0700 would shut out the workers of another user
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def settle(stage: Path, place: Path) -> bool:
    """Flush the staged files and move them to their place in one step. Returns False if the place is taken."""
    for path in (*stage.rglob("*"), stage):
        flush(path)
    try:
        # A rename never replaces a folder that holds anything.
        stage.rename(place)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            return False
        raise
    flush(place.parent)
    return True


def put_aside(place: Path) -> Path:
    """Hide a folder in one step. Returns its new path, to be discarded; after a crash a later `folder` deletes it."""
    hidden = place.parent / f"{PREFIX}{secrets.token_hex(8)}"
    place.rename(hidden)
    flush(place.parent)
    return hidden


def discard(folder: Path) -> None:
    """Delete a hidden folder as far as possible."""
    shutil.rmtree(folder, ignore_errors=True)


def flush(path: Path) -> None:
    """Wait until a file or the entries of a folder are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Replace a file in one step, flushed to disk: a reader sees the old text or the new one."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    flush(new)
    new.replace(path)
    flush(path.parent)


def digest(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(home: Path, tag: str) -> None:
    """Delete the folders that a dead process staged under this tag."""
    for stage in home.glob(f"{PREFIX}{tag}*"):
        shutil.rmtree(stage, ignore_errors=True)


def _sweep(home: Path) -> None:
    for stage in home.glob(f"{PREFIX}*"):
        try:
            last = max(path.stat().st_mtime for path in (stage, *stage.rglob("*")))
        except FileNotFoundError:  # its publisher has just finished
            continue
        if time.time() - last > STALE_S:
            shutil.rmtree(stage, ignore_errors=True)
