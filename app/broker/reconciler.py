"""Reconciling parents: batches, pipeline runs and planned runs of schedules. When a job of a parent ends, the parent is due.

One step in Redis ends a job and marks its parent as due. Any API process claims the parent for a while; if the process dies, another one
does. Reconciling a parent twice must do no harm: the ids of the jobs that it submits follow from its own id.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import redis.asyncio

from app.broker.replies import Replies
from app.core.errors import CeleriacError, RecordUnreadable
from app.loops import Loop
from app.store import followups, keys
from app.store.quarantine import Quarantine

log = logging.getLogger(__name__)
_LEASE_S: Final = 30.0
_POLL_S: Final = 1.0
_AT_ONCE: Final = 20
_AFTER_AN_ERROR_S: Final = 5.0
_UNKNOWN_ATTEMPTS: Final = 10
"""How often a parent of an unknown kind is tried: during an upgrade another process may know the kind."""

Advance = Callable[[str], Awaitable[float | None]]
"""Reconciles the parent of an id and submits its next jobs. Returns the seconds until the next look even if none of its jobs ends, or None.
Two processes may run it at once."""


class UnknownParent(Exception):
    """No loop of this process handles parents of that kind."""


class Followups:
    """The reconciliation loop of one API process. `advance` maps a kind of parent (`batch` of `batch:ID`) to its function."""

    def __init__(self, client: redis.asyncio.Redis, replies: Replies, quarantine: Quarantine, loop: Loop | None = None) -> None:
        """Start without any kind of parent."""
        self._client = client
        self._replies = replies
        self._quarantine = quarantine
        self._loop = loop or Loop("followups")
        self.advance: dict[str, Advance] = {}

    async def run(self) -> None:
        """Run until cancelled."""
        await self._loop.run(self._watch)

    async def _watch(self) -> float:
        async with self._replies.listen(keys.FOLLOWUPS_DUE) as due:

            async def turn() -> float:
                if not await self.round():
                    await _at_most(due.wait(), _POLL_S)
                    due.clear()
                return 0.0

            await self._loop.run(turn)
        return 0.0

    async def round(self) -> int:
        """Reconcile the parents that are due. Return how many there were."""
        claimed = await followups.claim(self._client, _LEASE_S, _AT_ONCE)
        await asyncio.gather(*map(self._handle, claimed))
        return len(claimed)

    async def _handle(self, member: bytes) -> None:
        # A parent that makes sense is never given up: its work was accepted. One that does not is looked at a few times.
        handled = member.partition(b":")[0].decode(errors="replace") in self.advance
        attempts = 0 if handled else _UNKNOWN_ATTEMPTS
        await self._quarantine.handle(self._loop, keys.FOLLOWUPS, member, self._look, attempts=attempts)

    async def now(self, parent: str) -> None:
        """Make a parent due at once: it is new, or a caller changed it."""
        await followups.due_now(self._client, parent)

    async def _look(self, parent: str) -> None:
        kind, _, id = parent.partition(":")
        if kind not in self.advance:
            raise UnknownParent(f"no process of this version handles {kind[:50]!r}: known are {', '.join(sorted(self.advance))}")
        again_s: float | None
        try:
            again_s = await self._advanced(kind, id)
        except RecordUnreadable:
            raise
        except CeleriacError as error:
            log.warning("%s waits: %s", parent, error.detail)
            again_s = _AFTER_AN_ERROR_S
        await followups.reschedule(self._client, parent, again_s)

    async def _advanced(self, kind: str, id: str) -> float | None:
        """Reconcile one parent, for no longer than its lease: then another process may claim it."""
        try:
            async with asyncio.timeout(_LEASE_S) as limit:
                return await self.advance[kind](id)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise Overdue(f"one look took more than {_LEASE_S:g} s") from error


class Overdue(Exception):
    """A parent was not looked at within its lease."""


async def _at_most(awaitable: Awaitable[object], seconds: float) -> None:
    try:
        await asyncio.wait_for(awaitable, seconds)
    except TimeoutError:
        return
