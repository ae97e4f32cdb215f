"""Decides the next step of everything that has parts: a batch, a pipeline run, a schedule.

When a job that is part of a parent ends, Redis notes in the same step that its parent is due. Any API process takes the note
under a lease; if the process dies, another one takes it. Reconciling a parent twice does no harm, because the jobs that it
submits have IDs that follow from the parent's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import redis.asyncio

from app.broker.replies import Replies
from app.core.errors import CeleriacError, RecordUnreadable
from app.loops import Loop
from app.store import keys, parents
from app.store.claims import Claimed
from app.store.quarantine import Quarantine

log = logging.getLogger(__name__)
_LEASE_S: Final = 30.0
_AT_ONCE: Final = 20
_AFTER_AN_ERROR_S: Final = 5.0
_UNKNOWN_ATTEMPTS: Final = 10
"""How often a parent of an unknown kind is tried. During an upgrade another process may know the kind."""

Reconcile = Callable[[str], Awaitable[float | None]]
"""Reads the record of a parent and submits what comes next. Returns the seconds after which to reconcile it again even if no part
of it ends, or None. Safe to run twice at once."""


class UnknownKind(Exception):
    """This process does not reconcile parents of that kind."""


class Overdue(Exception):
    """A parent was not reconciled within its lease."""


class Reconciler:
    """The reconciler of one API process.

    Args:
        client: Connection to Redis.
        replies: Notifies of parents that are due.
        quarantine: Takes parents that cannot be reconciled.
        kinds: What reconciles each kind of parent. `batch` gets the ID of the parent `batch:ID`.
        loop: The background loop.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        replies: Replies,
        quarantine: Quarantine,
        kinds: Mapping[str, Reconcile],
        loop: Loop | None = None,
    ) -> None:
        self._client = client
        self._replies = replies
        self._quarantine = quarantine
        self._kinds = dict(kinds)
        self._loop = loop or Loop("reconciler")

    async def run(self) -> None:
        """Reconcile what is due, until the task is cancelled."""
        await self._loop.run(self._watch)

    async def _watch(self) -> float:
        async with self._replies.listen(keys.RECONCILE_DUE) as due:

            async def turn() -> float:
                claimed = await self._claim()
                if not claimed.members:
                    await self._loop.wait(due, claimed.next_s)
                return 0.0

            await self._loop.run(turn)
        return 0.0

    async def round(self) -> int:
        """Reconcile the parents that are due. Returns how many there were."""
        return len((await self._claim()).members)

    async def _claim(self) -> Claimed:
        claimed = await parents.claim(self._client, _LEASE_S, _AT_ONCE)
        await asyncio.gather(*map(self._handle, claimed.members))
        return claimed

    async def _handle(self, parent: bytes) -> None:
        # A parent of a known kind is never given up, because its work was accepted. Others are tried a few times.
        supported = parent.partition(b":")[0].decode(errors="replace") in self._kinds
        attempts = 0 if supported else _UNKNOWN_ATTEMPTS
        await self._quarantine.handle(self._loop, keys.RECONCILE, parent, self._reconcile, attempts=attempts)

    async def _reconcile(self, parent: str) -> None:
        kind, _, id = parent.partition(":")
        if kind not in self._kinds:
            raise UnknownKind(f"Cannot reconcile {kind[:50]!r}. This process knows {', '.join(sorted(self._kinds))}.")
        next_s: float | None
        try:
            next_s = await self._within_lease(kind, id)
        except RecordUnreadable:
            raise
        except CeleriacError as error:
            log.warning("%s waits: %s", parent, error.detail)
            next_s = _AFTER_AN_ERROR_S
        await parents.reschedule(self._client, parent, next_s)

    async def _within_lease(self, kind: str, id: str) -> float | None:
        """Reconcile one parent. One that hangs must not hold up the others: after its lease another process takes it anyway."""
        try:
            async with asyncio.timeout(_LEASE_S) as limit:
                return await self._kinds[kind](id)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise Overdue(f"Reconciling took more than {_LEASE_S:g} s.") from error
