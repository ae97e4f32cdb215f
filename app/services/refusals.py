"""The audit log of refused requests. A flood of them must neither fill the log nor ask Redis for each.

The entries are written in the background. Each client address has a few per minute; one more entry counts its other requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import redis.asyncio

from app.core import audit
from app.core.audit import Action, Actor, ActorType, Context, Outcome, Target
from app.loops import Loop
from app.store.audit import REFUSALS, write

_TURN_S: Final = 1.0
_WINDOW_S: Final = 60.0
_MAX_ADDRESSES: Final = 100
"""Addresses that have entries of their own within a minute. Requests of all others are counted together."""
ANONYMOUS: Final = Actor(ActorType.ANONYMOUS)


@dataclass(slots=True)
class _Address:
    """The requests of an address within a minute: how many have an entry, and how many of the others were refused for which reason."""

    written: int = 0
    others: dict[tuple[Action, str], int] = field(default_factory=dict)


class Refusals:
    """The refused requests of one process, which become entries of the audit log.

    Args:
        client: A connection to Redis.
        per_minute: Entries per minute and address.
        loop: The loop that writes them.
        clock: Returns seconds.
    """

    def __init__(self, client: redis.asyncio.Redis, per_minute: int, loop: Loop, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._most = per_minute
        self._loop = loop
        self._clock = clock
        self._began = clock()
        self._addresses: dict[str | None, _Address] = {}
        self._pending: list[bytes] = []

    def note(self, action: Action, code: str, context: Context, by: Actor = ANONYMOUS, targets: Sequence[Target] = ()) -> None:
        """Note a request that was refused with an error code."""
        address = self._addresses.get(context.ip)
        if address is None:
            ip = context.ip if len(self._addresses) < _MAX_ADDRESSES else None
            address = self._addresses.setdefault(ip, _Address(0 if ip is not None else self._most))
        if address.written < self._most:
            address.written += 1
            self._pending.append(audit.draft(action, *targets, outcome=Outcome.DENIED, by=by, context=context, reason=code))
        else:
            address.others[action, code] = address.others.get((action, code), 0) + 1

    async def run(self) -> None:
        """Write the entries until the task is cancelled, and then those that are left."""
        try:
            await self._loop.run(self._turn)
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TURN_S):
                    await self.flush(end_minute=True)

    async def _turn(self) -> float:
        await self.flush(end_minute=self._clock() - self._began >= _WINDOW_S)
        return _TURN_S

    async def flush(self, *, end_minute: bool) -> None:
        """Write what is pending. At the end of a minute, also write how many requests had no entry of their own."""
        pending, self._pending = self._pending, []
        if end_minute:
            addresses, self._addresses, self._began = self._addresses, {}, self._clock()
            pending += (
                audit.draft(action, outcome=Outcome.DENIED, by=ANONYMOUS, context=Context(ip), reason=code, count=count)
                for ip, address in addresses.items()
                for (action, code), count in address.others.items()
            )
        for text in pending:
            await write(self._client, text, REFUSALS)
