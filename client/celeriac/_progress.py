"""A progress bar on standard error: tqdm if it is installed, otherwise one line that is rewritten."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self


class ProgressBar:
    """Use as a context manager. Shows nothing if it is not `enabled`."""

    def __init__(self, enabled: bool, title: str, unit: str = "rows") -> None:
        """Draw nothing yet."""
        self._title = title
        self._unit = unit
        self._bar: Any = None
        self._plain = False
        if not enabled:
            return
        try:
            from tqdm.auto import tqdm
        except ImportError:
            self._plain = sys.stderr.isatty()
        else:
            self._bar = tqdm(desc=title, unit=f" {unit}")

    def __enter__(self) -> Self:
        """Return the bar, which is closed after the block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
        if self._plain:
            sys.stderr.write("\n")

    def show(self, done: int, total: int | None) -> None:
        """Show that `done` of `total` rows or bytes are finished; None if the total is unknown."""
        if self._bar is not None:
            self._bar.total = total
            self._bar.n = done
            self._bar.refresh()
        elif self._plain:
            of = f" of {total:,}" if total else ""
            sys.stderr.write(f"\r{self._title}: {done:,}{of} {self._unit}")
            sys.stderr.flush()
