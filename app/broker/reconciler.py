"""Whatever has parts goes on: a batch, a pipeline. When a job that is a part of it ends, its parent is looked at.

The end of a job and the note that its parent is due are one step in Redis. Any API process takes the note, for a while:
if it dies, another does. To look at a parent twice must do no harm: what comes next is submitted under ids that follow
from the parent's.
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
from app.store import keys, scripts
from app.store.quarantine import Quarantine

log = logging.getLogger(__name__)
_LEASE_S: Final = 30.0
_POLL_S: Final = 1.0
_AT_ONCE: Final = 20
_AFTER_AN_ERROR_S: Final = 5.0
_UNKNOWN_ATTEMPTS: Final = 10
"""How often a parent of an unknown kind is looked at: during an upgrade another process may know the kind."""

Advance = Callable[[str], Awaitable[float | None]]
"""Looks at the parent of that id and submits what comes next. Returns the seconds after which to look again even if no job of
its ended, or None. Safe to run twice at once."""

_NOTICE: Final = "followups"


class UnknownParent(Exception):
    """No loop of this process handles parents of that kind."""


class Followups:
    """Of one API process. `advance` holds who looks at the parents of a kind: `batch` at `batch:ID`."""

    def __init__(self, client: redis.asyncio.Redis, replies: Replies, quarantine: Quarantine, loop: Loop | None = None) -> None:
        self._client = client
        self._replies = replies
        self._quarantine = quarantine
        self._loop = loop or Loop("followups")
        self.advance: dict[str, Advance] = {}

    async def run(self) -> None:
        """Until it is cancelled."""
        await self._loop.run(self._watch)

    async def _watch(self) -> float:
        async with self._replies.watch(_NOTICE) as due:

            async def turn() -> float:
                if not await self.round():
                    await _at_most(due.wait(), _POLL_S)
                    due.clear()
                return 0.0

            await self._loop.run(turn)
        return 0.0

    async def round(self) -> int:
        """Looks at the parents that are due. Returns how many there were."""
        claim = scripts.Call("claim", (keys.FOLLOWUPS,), (_LEASE_S, _AT_ONCE))
        found = await scripts.run_async(self._client, claim)
        await asyncio.gather(*map(self._handle, found))
        return len(found)

    async def _handle(self, member: bytes) -> None:
        # A parent that makes sense is never given up: its work was accepted. One that does not is looked at a few times.
        known = member.partition(b":")[0].decode(errors="replace") in self.advance
        attempts = 0 if known else _UNKNOWN_ATTEMPTS
        await self._quarantine.handle(self._loop, keys.FOLLOWUPS, member, self._look, attempts=attempts)

    async def now(self, parent: str) -> None:
        """A parent was made, or changed by a caller: it is looked at at once."""
        await self._client.zadd(keys.FOLLOWUPS, {parent: 0})
        await self._client.publish(keys.event(_NOTICE), "due")

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
        await scripts.run_async(self._client, scripts.reschedule_parent(parent, again_s))

    async def _advanced(self, kind: str, id: str) -> float | None:
        """One parent that hangs must not hold up the others: after its lease another process looks at it anyway."""
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
