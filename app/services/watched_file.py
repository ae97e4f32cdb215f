"""A file of settings that is read again when it changes, for example a mounted Secret. Nothing here needs Redis."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, TypeVar

import yaml

from app import metrics
from app.core.errors import CeleriacError, InvalidInput

_Content = TypeVar("_Content")
log = logging.getLogger(__name__)
_MAX_BYTES: Final = 8 << 20
_State = tuple[int, int, int]


class WatchedFile(ABC, Generic[_Content]):
    """The entries of a file. A file that cannot be read keeps the entries that were read last.

    Attributes:
        entries: The entries of the last valid file.
        trouble: Why the file cannot be used now, or an empty string.
    """

    name: ClassVar[str]
    """What the log and the metric call the file."""
    noun: ClassVar[str]
    """What the log calls its entries."""

    def __init__(self, path: Path | None) -> None:
        self.entries: dict[str, _Content] = {}
        self.trouble = ""
        self._path = path
        self._state: _State | None = None

    @abstractmethod
    def _parse(self, text: str) -> dict[str, _Content]:
        """Return the entries of a text. Raises InvalidInput if it is not valid."""

    def refresh(self) -> bool:
        """Read the file if it has changed. Return whether the entries have changed. Blocks."""
        if self._path is None:
            return False
        try:
            state = _state(self._path)
            if state == self._state:
                return False
            entries = self._parse(_read(self._path))
        except (OSError, UnicodeDecodeError, CeleriacError) as error:
            self._fail(str(error))
            return False
        # The state from before reading: a file that changed meanwhile is read again.
        changed, self._state, self.trouble = entries != self.entries, state, ""
        metrics.ACCESS_FILE_VALID.labels(self.name).set(1)
        if changed:
            self.entries = entries
            log.info("Read %d %s from %s.", len(entries), self.noun, self._path)
        return changed

    def _fail(self, reason: str) -> None:
        metrics.ACCESS_FILE_VALID.labels(self.name).set(0)
        if reason != self.trouble:
            text = "Cannot use the %s file %s and keep the %d %s read before: %s"
            log.error(text, self.name, self._path, len(self.entries), self.noun, reason)
        # A file that has become valid again may look like the last valid one.
        self._state, self.trouble = None, reason


def read_list(text: str, name: str) -> list[Any]:
    """Return the list of a YAML file that has nothing else. Every scalar becomes text, and no tag makes an object of Python's.

    Raises:
        InvalidInput: The file is not valid.
    """
    try:
        content: Any = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark else ""
        raise InvalidInput(f"The file is not YAML{place}.") from None
    if not isinstance(content, dict) or list(content) != [name] or not isinstance(content[name], list):
        raise InvalidInput(f"The file must contain `{name}:` and a list below it, and nothing else.")
    return list(content[name])


def _state(path: Path) -> _State:
    # Of the file that the path leads to: Kubernetes changes a mounted Secret by moving a symbolic link.
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _read(path: Path) -> str:
    if path.stat().st_size > _MAX_BYTES:
        raise InvalidInput(f"The file is larger than {_MAX_BYTES} bytes.")
    return path.read_text(encoding="utf-8")
