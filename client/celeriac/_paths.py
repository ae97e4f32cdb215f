"""Local files that a download must not replace."""

from __future__ import annotations

from pathlib import Path


def same_file(first: str | Path, second: str | Path) -> bool:
    """Whether two paths name one existing file: relative or absolute, through links or as hard links."""
    try:
        return Path(first).samefile(second)
    except OSError:
        return False


def check_kept(source: str | Path | None, target: str | Path) -> None:
    """Raises ValueError if a download to `target` would replace the file `source`."""
    if source is not None and same_file(source, target):
        raise ValueError(f"{target} is the input file, which the download would replace. Write to another file.")
