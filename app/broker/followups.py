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
from redis.exceptions import RedisError

from app.broker.replies import Replies
from app.core.errors import CeleriacError
from app.store import keys, scripts

log = logging.getLogger(__name__)
_LEASE_S: Final = 30.0
_POLL_S: Final = 1.0
_AT_ONCE: Final = 20
_AFTER_AN_ERROR_S: Final = 5.0

Advance = Callable[[str], Awaitable[float | None]]
"""Looks at the parent of that id and submits what comes next. Returns the seconds after which to look again even if no job of
its ended, or None. Safe to run twice at once."""

_NOTICE: Final = "followups"


class Followups:
    """Of one API process. `advance` holds who looks at the parents of a kind: `batch` at `batch:ID`."""

    def __init__(self, client: redis.asyncio.Redis, replies: Replies) -> None:
        self._client = client
        self._replies = replies
        self.advance: dict[str, Advance] = {}

    async def run(self) -> None:
        """Until it is cancelled."""
        async with self._replies.watch(_NOTICE) as due:
            while True:
                try:
                    if not await self.round():
                        await _at_most(due.wait(), _POLL_S)
                        due.clear()
                except (RedisError, OSError) as error:
                    log.warning("follow-ups wait for Redis: %s", error)
                    await asyncio.sleep(_POLL_S)

    async def round(self) -> int:
        """Looks at the parents that are due. Returns how many there were."""
        claim = scripts.Call("claim", (keys.FOLLOWUPS,), (_LEASE_S, _AT_ONCE))
        found = [parent.decode() for parent in await scripts.run_async(self._client, claim)]
        await asyncio.gather(*map(self._look, found))
        return len(found)

    async def now(self, parent: str) -> None:
        """A parent was made, or changed by a caller: it is looked at at once."""
        await self._client.zadd(keys.FOLLOWUPS, {parent: 0})
        await self._client.publish(keys.event(_NOTICE), "due")

    async def _look(self, parent: str) -> None:
        kind, _, id = parent.partition(":")
        try:
            again_s = await self.advance[kind](id) if kind in self.advance else None
        except (RedisError, OSError):
            raise
        except CeleriacError as error:
            log.warning("%s waits: %s", parent, error.detail)
            again_s = _AFTER_AN_ERROR_S
        except Exception:
            log.exception("%s cannot go on at the moment", parent)
            again_s = _AFTER_AN_ERROR_S
        await scripts.run_async(self._client, scripts.settle(parent, again_s))


async def _at_most(awaitable: Awaitable[object], seconds: float) -> None:
    try:
        await asyncio.wait_for(awaitable, seconds)
    except TimeoutError:
        return
