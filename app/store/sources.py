"""Sources that a batch reads and writes: an uploaded file, a path below an allowed root, or a URL of an allowed scheme."""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from app.core.errors import FileNotFound, InvalidInput
from app.settings import settings
from app.store.files import files, full

_LOCAL: Final = ("file", "local")
"""Schemes of fsspec that mean a path of this machine."""
_END: Final = 1 << 16
"""Bytes at either end of a file that its fingerprint covers."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source. Exactly one field is set."""

    file: str = ""
    path: str = ""
    url: str = ""

    @property
    def name(self) -> str:
        """The file name for messages. Its suffix decides the format if the content does not."""
        return files().get(self.file).filename if self.file else PurePosixPath(self.path or urlsplit(self.url).path).name

    def as_dict(self) -> dict[str, str]:
        """Return the field that is set."""
        return {name: value for name, value in (("file", self.file), ("path", self.path), ("url", self.url)) if value}


def parse(text: Any, pointer: str) -> Source:
    """Parse `file-…`, `scheme://…`, or else a path. Raises InvalidInput if it is not allowed; whether it exists shows when it is opened."""
    if not isinstance(text, str) or not text or "\0" in text:
        raise InvalidInput(f"{text!r} is not a file. Use the ID of an uploaded file, a path or a URL.", pointer=pointer)
    if text.startswith("file-"):
        return Source(file=text)
    scheme, separator, _ = text.partition("://")
    if separator:
        allowed = [scheme_.strip() for scheme_ in settings().file_schemes.split(",") if scheme_.strip()]
        if scheme not in allowed:
            raise InvalidInput(
                f"{scheme}:// is not allowed here; allowed are: {', '.join(allowed) or 'none'} (CELERIAC_FILE_SCHEMES).", pointer=pointer
            )
        return Source(url=text)
    source = Source(path=text)
    _resolved(source, pointer)
    return source


def identity(source: Source) -> str:
    """Return one text for all spellings of a file: its path without links and dots, or its URL without dots. Raises InvalidInput."""
    if source.file:
        content = files().content(source.file)
        return str(content.resolve() if isinstance(content, Path) else content)
    if source.path:
        return str(_resolved(source, "/output"))
    parts = urlsplit(source.url)
    path = posixpath.normpath(unquote(parts.path)) if parts.path else ""
    if parts.scheme in _LOCAL:
        return str(Path(path).resolve())
    return urlunsplit((parts.scheme.lower(), parts.netloc.lower(), path, parts.query, ""))


def same(source: Source, other: Source) -> bool:
    """Return whether two sources are the same file, whatever the spelling, link or letter case. Raises InvalidInput."""
    first, second = identity(source), identity(other)
    if first == second:
        return True
    # Hard links, and file systems that ignore letter case.
    with contextlib.suppress(OSError, ValueError):
        return Path(first).samefile(second)
    return False


@contextlib.contextmanager
def reading(source: Source, pointer: str = "/input") -> Iterator[IO[bytes]]:
    """Open a source as a seekable file. Raises FileNotFound, InvalidInput, or ConnectionError if a remote store does not answer."""
    if source.url:
        with _remote(source, "rb") as file:
            yield file
        return
    content = files().content(source.file) if source.file else _resolved(source, pointer)
    try:
        if isinstance(content, Path) and content.exists() and not content.is_file():  # a pipe would be waited for
            raise FileNotFound(f"{source.path} cannot be read: it is not a file.", pointer=pointer)
        file = content.open("rb")
    except OSError as error:
        raise FileNotFound(f"{source.path or source.file} cannot be read: {error.strerror}.", pointer=pointer) from None
    with file:
        yield file


def fingerprint(file: IO[bytes]) -> str:
    """Return a hash of the size, the beginning and the end of a file, which changes if the file is replaced."""
    size = file.seek(0, os.SEEK_END)
    digest = hashlib.sha256(str(size).encode())
    for at in (0, max(0, size - _END)):
        file.seek(at)
        digest.update(file.read(_END))
    file.seek(0)
    return digest.hexdigest()


def check_output(source: Source, pointer: str = "/output") -> None:
    """Raise InvalidInput if a path cannot be written, before any work is done for it."""
    if not source.path:
        return
    path = _resolved(source, pointer)
    try:
        reason = f"the folder {path.parent} does not exist" if not path.parent.is_dir() else "it is a folder" if path.is_dir() else ""
    except OSError as error:
        reason = str(error.strerror)
    if reason or not os.access(path.parent, os.W_OK):
        raise InvalidInput(f"{source.path} cannot be written: {reason or 'this process may not write its folder'}", pointer=pointer)


@contextlib.contextmanager
def writing(source: Source, pointer: str = "/output") -> Iterator[IO[bytes]]:
    """Open a path or URL for writing. The file appears under its name when the block ends without an error."""
    if source.url:
        with _remote(source, "wb") as file:
            yield file
        return
    path = _resolved(source, pointer)
    half = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        with half.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    except OSError as error:
        raise full(error) or InvalidInput(f"{source.path} cannot be written: {error.strerror}.", pointer=pointer) from error
    finally:
        with contextlib.suppress(OSError):
            half.unlink()


def _resolved(source: Source, pointer: str) -> Path:
    """Return the path without links and dots. Raises InvalidInput if it is outside the roots."""
    roots = [Path(root.strip()).resolve() for root in settings().file_roots.split(",") if root.strip()]
    if not roots:
        raise InvalidInput("Paths are not allowed here (CELERIAC_FILE_ROOTS is not set). Upload the file.", pointer=pointer)
    path = Path(source.path)
    try:
        resolved = (path if path.is_absolute() else roots[0] / path).resolve()
    except (OSError, RuntimeError):
        resolved = Path("/")
    if not any(resolved.is_relative_to(root) and resolved != root for root in roots):
        raise InvalidInput(f"{source.path} is not below {' or '.join(map(str, roots))}.", pointer=pointer)
    return resolved


@contextlib.contextmanager
def _remote(source: Source, mode: str) -> Iterator[Any]:
    import fsspec

    try:
        with fsspec.open(source.url, mode) as file:
            yield file
    except FileNotFoundError:
        raise FileNotFound(f"{source.url} does not exist.", pointer="/input") from None
    except ImportError as error:
        raise InvalidInput(f"{source.url} cannot be opened: {error}", pointer="/input") from None
