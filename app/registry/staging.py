"""A folder that appears whole: written under a hidden name beside its place, flushed to disk, then renamed."""

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
"""After so long without a write, a staging folder is what a crash left behind. By age, since no lock holds on every kind of volume."""


@contextmanager
def folder(home: Path, tag: str = "") -> Iterator[Path]:
    """An empty hidden folder in `home`, gone afterwards unless it was settled. Sweeps what crashes left there."""
    _sweep(home)
    stage = home / f"{PREFIX}{tag}{secrets.token_hex(8)}"
    stage.mkdir()  # not mkdtemp: its 0700 would shut out the workers of another user
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def settle(stage: Path, place: Path) -> bool:
    """Flushes the staged files and moves them to their place in one step. False where the place is taken."""
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
    """Hides a folder in one step. Returns where it is now, to be discarded; after a crash somebody sweeps it."""
    hidden = place.parent / f"{PREFIX}{secrets.token_hex(8)}"
    place.rename(hidden)
    flush(place.parent)
    return hidden


def discard(folder: Path) -> None:
    """Deletes what was put aside, as far as it can be deleted."""
    shutil.rmtree(folder, ignore_errors=True)


def flush(path: Path) -> None:
    """Waits until a file or the entries of a folder are on disk."""
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
    """What was staged under this tag, by a process that is known to be dead."""
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
