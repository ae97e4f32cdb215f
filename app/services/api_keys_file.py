"""API keys from a file of hashes, which a mounted Secret holds. Nothing here needs Redis.

    keys:
      - id: 7Jq2mX0a
        name: first admin
        owner: platform
        role: admin
        hash: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

The file is YAML, of which JSON is a part. Every value is read as text, so that an ID of digits needs no quotes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from app import metrics
from app.core.api_keys import ApiKey
from app.core.errors import CeleriacError, InvalidInput
from app.services.requests.api_keys import HASH_FORM, FileKey

log = logging.getLogger(__name__)
_MAX_BYTES: Final = 8 << 20
_State = tuple[int, int, int]


class ApiKeysFile:
    """The keys of a file, by ID. A file that cannot be read keeps the keys that were read last.

    Attributes:
        keys: The keys of the last valid file.
        trouble: Why the file cannot be used now, or an empty string.
    """

    def __init__(self, path: Path | None) -> None:
        self.keys: Mapping[str, ApiKey] = {}
        self.trouble = ""
        self._path = path
        self._state: _State | None = None
        if path is None:
            metrics.KEYS_FILE_VALID.set(1)

    def refresh(self) -> bool:
        """Read the file if it has changed. Return whether the keys are others now. Blocks."""
        if self._path is None:
            return False
        try:
            state = _state(self._path)
            if state == self._state:
                return False
            keys = parse(_read(self._path))
        except (OSError, UnicodeDecodeError, CeleriacError) as error:
            self._fail(str(error))
            return False
        # The state from before reading: a file that changed meanwhile is read again.
        changed, self._state, self.keys, self.trouble = keys != self.keys, state, keys, ""
        metrics.KEYS_FILE_VALID.set(1)
        if changed:
            log.info("Read %d API keys from %s.", len(keys), self._path)
        return changed

    def _fail(self, reason: str) -> None:
        metrics.KEYS_FILE_VALID.set(0)
        if reason != self.trouble:
            log.error("Cannot use the keys file %s and keep the %d API keys read before: %s", self._path, len(self.keys), reason)
        # A file that has become valid again may look like the last valid one.
        self._state, self.trouble = None, reason


def parse(text: str) -> dict[str, ApiKey]:
    """Return the keys of a file by ID.

    Raises:
        InvalidInput: The file is not valid. The message names the entry, and never repeats a hash.
    """
    try:
        # Every scalar becomes text; no tag makes an object of Python's.
        content: Any = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark else ""
        raise InvalidInput(f"The file is not YAML{place}.") from None
    if not isinstance(content, dict) or list(content) != ["keys"] or not isinstance(content["keys"], list):
        raise InvalidInput("The file must contain `keys:` and a list below it, and nothing else.")
    keys: dict[str, ApiKey] = {}
    for number, entry in enumerate(content["keys"], 1):
        if not isinstance(entry, dict):
            raise InvalidInput(f"Key {number} must be a mapping with id, role and hash.")
        try:
            key = FileKey.parse(entry).key()
        except InvalidInput as error:
            # A secret may have been written in place of its hash.
            detail = f"Invalid hash. {HASH_FORM}" if error.pointer in ("/hash", "/previous_hash") else error.detail
            raise InvalidInput(f"Key {number}: {detail}") from None
        if key.id in keys:
            raise InvalidInput(f"Key {number}: the ID {key.id} occurs twice.")
        keys[key.id] = key
    return keys


def _state(path: Path) -> _State:
    # Of the file that the path leads to: Kubernetes changes a mounted Secret by moving a symbolic link.
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _read(path: Path) -> str:
    if path.stat().st_size > _MAX_BYTES:
        raise InvalidInput(f"The file is larger than {_MAX_BYTES} bytes.")
    return path.read_text(encoding="utf-8")
