"""The files of a version that is Python, and the digest that covers all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from app.core.errors import ModelUnavailable
from app.registry.staging import digest as digest_of

MANIFEST: Final = "model.json"
EXAMPLES: Final = "examples.json"
_CACHE: Final = "__pycache__"
"""Not among them: nothing in it is ever read."""


def digest(folder: Path) -> str:
    """The sha256, in hex, of the sorted lines `<sha256>  <path>`: what `sha256sum` prints of every file but the manifest.

    Raises ModelUnavailable for a link that leads out of the folder.
    """
    lines = sorted(f"{digest_of(path)}  {path.relative_to(folder).as_posix()}\n" for path in _files(folder))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    home = folder.resolve()
    for path in folder.rglob("*"):
        inner = path.relative_to(folder)
        if _CACHE in inner.parts or inner.as_posix() in (MANIFEST, EXAMPLES):
            continue
        if not path.resolve().is_relative_to(home):
            raise ModelUnavailable(f"{path} leads out of its version, to {path.resolve()}: put the file itself there")
        if path.is_file():
            yield path
