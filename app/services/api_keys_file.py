"""API keys from a file of hashes, which a mounted Secret holds.

keys:
  - id: 7Jq2mX0a
    name: first admin
    owner: platform
    role: admin
    hash: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

The file is YAML, of which JSON is a part. Every value is read as text, so that an ID of digits needs no quotes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from app.core.api_keys import ApiKey
from app.core.errors import InvalidInput
from app.services.requests.api_keys import HASH_FORM, FileKey
from app.services.watched_file import WatchedFile, read_list


class ApiKeysFile(WatchedFile[ApiKey]):
    """The keys of a file, by ID."""

    name: ClassVar[str] = "keys"
    noun: ClassVar[str] = "API keys"

    @property
    def keys(self) -> Mapping[str, ApiKey]:
        """The keys of the last valid file."""
        return self.entries

    def _parse(self, text: str) -> dict[str, ApiKey]:
        return parse(text)


def parse(text: str) -> dict[str, ApiKey]:
    """Return the keys of a file by ID.

    Raises:
        InvalidInput: The file is not valid. The message names the entry, and never repeats a hash.
    """
    keys: dict[str, ApiKey] = {}
    for number, entry in enumerate(read_list(text, "keys"), 1):
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
