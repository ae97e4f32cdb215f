"""Exporting the traces of jobs that have ended. Every API process does it; a claim in Redis gives a delivery to one process at a time."""

from __future__ import annotations

from typing import Final

import redis.asyncio

from app import metrics
from app.core import model_spans
from app.core.spans import Export, of_delivery
from app.loops import Loop
from app.settings import Settings
from app.store import keys, traces
from app.store.quarantine import Quarantine

_LEASE_S: Final = 30.0
_AT_ONCE: Final = 200
_INTERVAL_S: Final = 0.5
"""Time between two looks at Redis. Nobody waits for a trace, so nothing announces it."""
_ATTEMPTS: Final = 3
"""How often a delivery that cannot be read is tried before it is set aside."""


class EndedTraces:
    """The loop of one API process that exports the traces of ended jobs."""

    def __init__(self, client: redis.asyncio.Redis, settings: Settings, export: Export, loop: Loop | None = None) -> None:
        self._client = client
        self._export = export
        self._quarantine = Quarantine(client, settings)
        self._loop = loop or Loop("traces")

    async def run(self) -> None:
        """Run until cancelled."""
        await self._loop.run(self._turn)

    async def _turn(self) -> float:
        return 0.0 if await self.round() == _AT_ONCE else _INTERVAL_S

    async def round(self) -> int:
        """Export what is due now. Return how many deliveries it was."""
        claimed = await traces.claim(self._client, _LEASE_S, _AT_ONCE)
        exported: list[str] = []

        async def handle(member: str) -> None:
            delivery = await traces.read(self._client, member)
            ran = delivery.id, delivery.size, delivery.jobs
            self._export(of_delivery(*ran) + model_spans.of_run(*ran))
            exported.append(member)

        for member in claimed.members:
            await self._quarantine.handle(self._loop, keys.TRACES, member, handle, attempts=_ATTEMPTS)
            self._loop.touch()
        await traces.done(self._client, exported)
        if dropped := await traces.take_dropped(self._client):
            metrics.TRACES_DROPPED.inc(dropped)
        return len(claimed.members)
