"""The audit log: read it, and verify that nobody changed it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import redis.asyncio

from app.core.audit import ChainCheck, Head, matches
from app.store import audit


@dataclass(frozen=True, slots=True)
class Verification:
    """What the check of one chain found: its entries, its newest entry, and what is wrong."""

    chain: str
    entries: int
    head: Head
    faults: tuple[str, ...]


class AuditService:
    """The audit log of the platform."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client

    async def page(
        self, cursor: str | None, limit: int, *, action: str | None, actor: str | None, since: float | None, until: float | None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return the newest entries after a cursor, and the cursor of the next page.

        Args:
            cursor: The cursor that the page before returned.
            limit: The size of the page.
            action: An action, or a noun with a wildcard: `key.*`.
            actor: ID of a key, or a type of actors.
            since: Seconds since 1970, or None.
            until: Seconds since 1970, or None.
        """
        wanted = partial(matches, action=action, actor=actor)
        return await audit.page(self._client, wanted, cursor=cursor, count=limit, since=since, until=until)

    async def verify(self) -> list[Verification]:
        """Check both chains: that of changes and that of refused requests."""
        return [await self._verify(name) for name in (audit.CHANGES, audit.REFUSALS)]

    async def _verify(self, name: str) -> Verification:
        check = ChainCheck()
        head, portions = await audit.chain(self._client, name)
        async for entries in portions:
            check.follow(entries)
        check.end(head, audit.oldest_kept())
        return Verification(name, check.entries, check.last, tuple(check.faults))
