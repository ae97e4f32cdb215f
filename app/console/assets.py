"""The files of the console, read once and compressed once."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "static"
INDEX: Final = "index.html"
_VERSION: Final = b"{version}"
_PROVIDER: Final = b"{provider}"
_COMPRESSED: Final = {".css", ".html", ".js", ".mjs", ".svg"}
_SERVED: Final = _COMPRESSED | {".png", ".woff2"}
mimetypes.add_type("text/javascript", ".mjs")


@dataclass(frozen=True, slots=True)
class Asset:
    """One file.

    Attributes:
        content: Its bytes.
        compressed: The same with gzip, or None if that does not help.
        media_type: Value of `Content-Type`.
        etag: Value of `ETag`.
    """

    content: bytes
    compressed: bytes | None
    media_type: str
    etag: str


def load(folder: Path = FOLDER, provider: str = "") -> tuple[str, dict[str, Asset]]:
    """Return the version of all files together, and each file by its path below the folder.

    The page names the version in the addresses of the other files, so that a browser may keep those forever.
    It names the provider with which people may sign in, too.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix in _SERVED]
    contents = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    digest = hashlib.sha256()
    for name, content in contents.items():
        digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    version = digest.hexdigest()[:16]
    contents[INDEX] = contents[INDEX].replace(_VERSION, version.encode()).replace(_PROVIDER, provider.encode())
    return version, {name: _asset(name, content) for name, content in contents.items()}


def _asset(name: str, content: bytes) -> Asset:
    suffix = Path(name).suffix
    type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Asset(
        content=content,
        compressed=gzip.compress(content, 9, mtime=0) if suffix in _COMPRESSED else None,
        media_type=f"{type}; charset=utf-8" if suffix in _COMPRESSED else type,
        etag=f'"{hashlib.sha256(content).hexdigest()[:32]}"',
    )
