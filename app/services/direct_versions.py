"""Which versions the API processes predict with themselves: those that workers serve, unless a process died while it called them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import redis.asyncio

from app.broker.replies import Replies
from app.core.lanes import Choice, Lane, obstacle
from app.core.models import Manifest
from app.core.timestamps import rfc3339
from app.direct.lane import DirectLane
from app.direct.marks import Mark, Marks
from app.loops import IDLE_S, Loop, Loops
from app.services.catalog import Catalog
from app.services.model_entry import Readiness, Version
from app.services.pool_states import PoolStates
from app.store import direct_failures, keys
from app.store.direct_failures import DirectFailure, Key

log = logging.getLogger(__name__)
_REFRESH_S: Final = 1.0


class DirectVersions:
    """Keeps the direct lane up to date with the catalog, and reports versions under which a process died.

    Attributes:
        lane: The direct lane, or None if it is off.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        replies: Replies,
        catalog: Catalog,
        pools: PoolStates,
        lane: DirectLane | None,
        off: str,
        loops: Loops,
    ) -> None:
        """`off` says why the lane is off."""
        self.lane = lane
        self._client = client
        self._replies = replies
        self._catalog = catalog
        self._pools = pools
        self._off = off
        self._loops = loops
        self._loop = Loop("direct")
        self._failures: Mapping[Key, DirectFailure] = {}
        self._held: set[Key] = set()
        self._changed = asyncio.Event()
        self._read_again_at = 0.0

    async def run(self) -> None:
        """Refresh until the task is cancelled."""
        if self.lane is not None:
            self._loop = self._loops.add("direct")
            async with self._replies.listen(keys.TABLES_CHANGED) as self._changed:
                await self._loop.run(self._turn)

    async def _turn(self) -> float:
        await self.refresh()
        return _REFRESH_S

    async def refresh(self) -> None:
        """Report what dead processes left, and hold the versions that are wanted now."""
        lane = self.lane
        if lane is None:
            return
        with self._loop.item("the marks of dead processes"):
            for path, marks in await asyncio.to_thread(lambda: list(lane.marks.left_by_dead())):
                await self._report(lane.marks, path, marks)
        # Without Redis, what was known stays true.
        with self._loop.item("the versions that failed on the direct lane"):
            await self._read_failures()
        wanted = {key: manifest for key, (manifest, version) in self._candidates().items() if self._wanted(key, manifest, version)}
        self._held = set(wanted)
        lane.hold(wanted)

    async def _read_failures(self) -> None:
        if self._changed.is_set() or time.monotonic() >= self._read_again_at:
            self._changed.clear()
            self._read_again_at = 0.0
            self._failures = await direct_failures.read(self._client)
            self._read_again_at = time.monotonic() + IDLE_S

    def close(self) -> None:
        """Leave no mark: this process ends in order."""
        if self.lane is not None:
            self.lane.close()

    def holds(self, name: str, version: str) -> bool:
        """Return whether this process predicts with a version itself."""
        return (name, version) in self._held

    def choice(self, name: str, version: Version) -> Choice:
        """Return the lane of a version of the model `name`, and why."""
        manifest = version.manifest
        if manifest is None:
            return Choice(Lane.QUEUE, "It has no manifest.")
        if self.lane is None:
            return Choice(Lane.QUEUE, self._off)
        if reason := obstacle(manifest):
            return Choice(Lane.QUEUE, reason)
        if failure := self._failed(manifest):
            advice = f"POST /v2/repository/models/{name}/load lets it return."
            return Choice(Lane.QUEUE, f"An API process died while it was predicting with this version, on {rfc3339(failure.at)}. {advice}")
        if manifest.key not in self._held:
            return Choice(Lane.QUEUE, "No worker holds it.")
        if manifest.pool in self._pools.states:
            return Choice(Lane.QUEUE, self._pools.states[manifest.pool].describe(manifest.pool))
        return self.lane.choice(manifest)

    def _candidates(self) -> dict[Key, tuple[Manifest, Version]]:
        return {
            (entry.name, name): (version.manifest, version)
            for entry in self._catalog.entries.values()
            for name, version in entry.versions.items()
            if version.manifest is not None
        }

    def _wanted(self, key: Key, manifest: Manifest, version: Version) -> bool:
        if version.state is Readiness.UNAVAILABLE or obstacle(manifest) or self._failed(manifest):
            return False
        if version.state is Readiness.READY:
            return True
        # It stays while its workers restart or are scaled to zero. A version that living workers have dropped is superseded.
        return key in self._held and (version.state is Readiness.LOADING or not self._catalog.living(manifest.pool))

    def _failed(self, manifest: Manifest) -> DirectFailure | None:
        failure = self._failures.get(manifest.key)
        return failure if failure is not None and failure.sha256 == manifest.sha256 else None

    async def _report(self, own: Marks, path: Path, marks: list[Mark]) -> None:
        """Record the versions that a dead process was calling. Its file stays until Redis has them."""
        for mark in marks:
            log.error("%s@%s takes the queue from now on: an API process died while it was predicting with it.", mark.name, mark.version)
            key, failure = (mark.name, mark.version), DirectFailure(mark.sha256, time.time())
            # Here, even if Redis does not answer.
            self._failures = {**self._failures, key: failure}
            await direct_failures.record(self._client, key, failure)
        await asyncio.to_thread(own.remove, path)
