"""A folder for files whose names come from elsewhere: nothing is written outside of it, and not more than its bounds."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path
from typing import Final

from celeriac_cli.errors import CLIError, Exit

MAX_FILES: Final = 10_000
MAX_BYTES: Final = 64 << 30
_BLOCK: Final = 1 << 20


class UntrustedFolder:
    """The folder of a model, and how much may still be written into it."""

    def __init__(self, folder: Path) -> None:
        """Use an empty folder."""
        self._folder = folder
        self._files = MAX_FILES
        self._bytes = MAX_BYTES

    def place(self, name: str, size: int) -> Path:
        """Return where a new file belongs, in a folder that exists. Raises CLIError if that is outside, taken, or too large."""
        parts = name.removeprefix("./").split("/")
        if any(part in ("", ".", "..") for part in parts) or any(character in name for character in "\0\\:"):
            raise CLIError(f"The model has a file {name!r}, which is not a path inside of its folder.", Exit.FAILED)
        self._files -= 1
        self._bytes -= size
        if self._files < 0 or self._bytes < 0:
            raise CLIError(f"The model has more than {MAX_FILES} files or {MAX_BYTES} bytes.", Exit.USAGE)
        path = self._folder.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise _twice(name) from None
        if path.exists():
            raise _twice(name)
        return path

    def unpack(self, archive: Path) -> None:
        """Write the files of a tar archive, which may be compressed with gzip. Raises CLIError."""
        try:
            with tarfile.open(archive) as tar:
                for member in tar:
                    if member.isdir():
                        continue
                    content = tar.extractfile(member) if member.isreg() else None
                    if content is None:
                        raise CLIError(f"The model has an entry {member.name!r} that is not a file or folder.", Exit.FAILED)
                    with self.place(member.name, member.size).open("xb") as file:
                        while block := content.read(_BLOCK):
                            file.write(block)
        except (tarfile.TarError, zlib.error, EOFError, ValueError) as error:
            raise CLIError(f"The model is not a tar archive, or is damaged ({error}).", Exit.FAILED) from None


def _twice(name: str) -> CLIError:
    return CLIError(f"The model has {name!r} twice, or as a file and a folder.", Exit.FAILED)
