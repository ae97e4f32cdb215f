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
import math
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import yaml

from app import metrics
from app.core.api_keys import DEFAULT_OWNER, ID, ApiKey, parse_globs, parse_grant, parse_hash, parse_name, parse_owner
from app.core.errors import CeleriacError, InvalidInput, shown
from app.core.fields import reject_unknown_fields

log = logging.getLogger(__name__)
_MAX_BYTES: Final = 8 << 20
_FIELDS: Final = (
    "id", "name", "owner", "role", "scopes", "models", "pools", "hash", "expires_at", "disabled", "previous_hash", "previous_until", "rotated_at",
)  # fmt: skip
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
        try:
            key = _entry(entry)
        except CeleriacError as error:
            raise InvalidInput(f"Key {number}: {error.detail}") from None
        if key.id in keys:
            raise InvalidInput(f"Key {number}: the ID {key.id} occurs twice.")
        keys[key.id] = key
    return keys


def _entry(entry: Any) -> ApiKey:
    if not isinstance(entry, dict) or not all(isinstance(name, str) for name in entry):
        raise InvalidInput("An entry must be a mapping with id, name, role and hash.")
    reject_unknown_fields(entry, *_FIELDS)
    id = entry.get("id")
    if not isinstance(id, str) or not ID.fullmatch(id):
        raise InvalidInput(f"Invalid id {shown(id)}. Use the 8 letters and digits between `cel_` and the next underscore.")
    role, scopes = parse_grant(entry.get("role"), entry.get("scopes"))
    disabled = entry.get("disabled", "false")
    if disabled not in ("true", "false"):
        raise InvalidInput(f"Invalid disabled {shown(disabled)}. Use true or false.")
    previous = entry.get("previous_hash")
    if (previous is None) != (entry.get("previous_until") is None):
        raise InvalidInput("previous_hash and previous_until belong together.")
    return ApiKey(
        id=id,
        name=parse_name(entry.get("name", id)),
        owner=parse_owner(entry.get("owner", DEFAULT_OWNER)),
        hash=parse_hash(entry.get("hash")),
        role=role,
        scopes=scopes,
        models=parse_globs(entry.get("models"), "models"),
        pools=parse_globs(entry.get("pools"), "pools"),
        created_by="file",
        expires_at=_time(entry, "expires_at"),
        previous_hash=parse_hash(previous) if previous is not None else b"",
        previous_until=_time(entry, "previous_until") or 0.0,
        rotated_at=_time(entry, "rotated_at"),
        disabled_at=0.0 if disabled == "true" else None,
        in_file=True,
    )


def _time(entry: Mapping[str, Any], field: str) -> float | None:
    text = entry.get(field)
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
        seconds = time.timestamp() if time.tzinfo is not None else math.nan
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if math.isnan(seconds):
        raise InvalidInput(f"Invalid {field} {shown(text)}. Use a time with a zone, for example 2027-01-31T00:00:00Z.")
    return seconds


def _state(path: Path) -> _State:
    # Of the file that the path leads to: Kubernetes changes a mounted Secret by moving a symbolic link.
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _read(path: Path) -> str:
    if path.stat().st_size > _MAX_BYTES:
        raise InvalidInput(f"The file is larger than {_MAX_BYTES} bytes.")
    return path.read_text(encoding="utf-8")
