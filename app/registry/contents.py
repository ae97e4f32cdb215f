"""The files of a version, and the digest that covers all of them."""

from __future__ import annotations

import errno
import hashlib
import json
import stat
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

from app.core.errors import ModelUnavailable
from app.core.models import PYTHON, Manifest
from app.registry.staging import digest as digest_of

MANIFEST: Final = "model.json"
EXAMPLES: Final = "examples.json"
_MAX_JSON_BYTES: Final = 64 << 20
_CACHE: Final = "__pycache__"
"""Folder that is not part of a version: nothing in it is read."""


def read_json(path: Path) -> Any:
    """Read a small file of the repository. Raises ModelUnavailable if it is not valid JSON, is too large or too deeply nested."""
    size = regular_size(path)
    if size > _MAX_JSON_BYTES:
        raise ModelUnavailable(f"{path.name} has {size} bytes; at most {_MAX_JSON_BYTES} are read.")
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise ModelUnavailable(f"{path.name} is not valid JSON: {error}") from None
    except RecursionError:
        raise ModelUnavailable(f"{path.name} is not valid because its values are nested too deeply.") from None


def regular_size(path: Path) -> int:
    """Bytes of a file. Raises ModelUnavailable if it is not a regular one: reading a pipe, for example, would block forever."""
    try:
        status = path.stat()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise ModelUnavailable(f"{path.name} is a link that leads back to itself.") from None
    if not stat.S_ISREG(status.st_mode):
        raise ModelUnavailable(f"{path.name} is not a regular file.")
    return status.st_size


def digest(folder: Path, manifest: Manifest) -> str:
    """Return the sha256 of a version, in hex: of its file, or of the sorted lines `<sha256>  <path>` that `sha256sum` prints for several files.

    The files of a Python model are all files in the folder. Raises ModelUnavailable if a file is missing or a link leads out of the folder.
    """
    if manifest.format != PYTHON and not manifest.weights:
        return digest_of(folder / manifest.artifact)
    names = [manifest.artifact, *manifest.weights]
    files = _inside(folder, folder.rglob("*") if manifest.format == PYTHON else (folder / name for name in names))
    try:
        lines = sorted(f"{digest_of(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)
    except FileNotFoundError as error:
        raise ModelUnavailable(f"The file {error.filename} does not exist.") from None
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check(which: str, path: Path, file: BufferedReader, manifest: Manifest | None) -> str:
    """Return the sha256 of an open artifact. Raises ModelUnavailable if it is not the one that was published.

    Args:
        which: `name@version`, for the error.
        path: Path of the artifact.
        file: The artifact. Read it again from this object, so that what was checked is what is loaded.
        manifest: Its manifest, or None for a bare artifact.
    """
    if manifest and manifest.weights:
        actual = digest(path.parent, manifest)
    else:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if manifest and actual != manifest.sha256:
        what = " and ".join((path.name, *manifest.weights))
        detail = f"{which}: the sha256 of {what} is {actual[:12]}…, not {manifest.sha256[:12]}… as published"
        raise ModelUnavailable(f"{detail}: the file is damaged or was changed.")
    return actual


def _inside(folder: Path, paths: Iterable[Path]) -> Iterator[Path]:
    home = folder.resolve()
    for path in paths:
        inner = path.relative_to(folder)
        if _CACHE in inner.parts or inner.as_posix() in (MANIFEST, EXAMPLES):
            continue
        if not path.is_dir():
            regular_size(path)
        if not path.resolve().is_relative_to(home):
            raise ModelUnavailable(f"{path} leads out of its version, to {path.resolve()}. Replace the link with the file.")
        if not path.is_dir():
            yield path
