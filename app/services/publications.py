"""The audit log of versions that appear in the model repository. They are files, so the API sees that they appear, and not who published them.

A version that was published over the API has an entry of its caller. It is written just after the version appears, so others wait for it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

import redis.asyncio

from app.core import audit
from app.core.audit import Action, Actor, ActorType, Target
from app.services.model_entry import Entry
from app.store.audit import write_publications

_REPOSITORY: Final = Actor(ActorType.SYSTEM, "repository", "repository")
_AT_ONCE: Final = 20
_OTHERS_S: Final = 2.0
"""Time for another process to write the entry of its caller."""


class Publications:
    """Writes an entry for each new version. Redis notes the versions, so that one process writes it."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._seen: frozenset[tuple[str, str]] | None = None
        self._since: dict[tuple[str, str], float] = {}

    async def observe(self, entries: Mapping[str, Entry]) -> None:
        """Compare the models of the repository with those that were observed before."""
        versions = frozenset((entry.name, version) for entry in entries.values() for version in entry.versions)
        now = time.monotonic()
        self._since = {version: self._since.get(version, now) for version in versions - (self._seen or frozenset())}
        new = sorted(version for version, since in self._since.items() if self._seen is None or now - since >= _OTHERS_S)
        if self._seen is None and not new:
            await write_publications(self._client, [])
        # The first portion must note all that exists, see publish.lua.
        size = len(new) if self._seen is None else _AT_ONCE
        for first in range(0, len(new), max(size, 1)):
            some = new[first : first + size]
            await write_publications(self._client, [(f"{name}/{version}", _entry(name, version)) for name, version in some])
        self._seen = versions if self._seen is None else (self._seen & versions) | frozenset(new)


def _entry(name: str, version: str) -> bytes:
    return audit.draft(Action.MODEL_PUBLISHED, Target("model", f"{name}@{version}"), by=_REPOSITORY)
