"""The steps of rollouts. Every API process runs the loop; a lease in Redis lets one of them work.

The alias is changed first, then the record is written: if a process dies in between, the next one closes the record.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

import redis.asyncio

from app import metrics
from app.core.errors import ModelConflict
from app.core.rollouts import Rollout, RolloutRecord, RolloutState
from app.core.routes import Canary, Route
from app.core.stats import Series
from app.loops import Loop
from app.services import rollout_events
from app.services.alias_routes import AliasRoutes
from app.services.catalog import Catalog
from app.services.model_entry import Entry, Readiness
from app.services.rollout_events import RolloutEvent
from app.services.rollouts import measured
from app.settings import Settings
from app.store import clock, keys, leases, rollouts, stats

STEP_CHECK_S: Final = 2.0
"""Seconds between two looks."""
_LEASE_S: Final = 60
_READ_S: Final = 30.0
Place = tuple[str, str]
"""A model and an alias."""


class RolloutSteps:
    """Lets the canaries of rollouts grow, and takes those back that fail."""

    def __init__(
        self, client: redis.asyncio.Redis, process: str, settings: Settings, routes: AliasRoutes, catalog: Catalog, loop: Loop
    ) -> None:
        self._client = client
        self._settings = settings
        self._routes = routes
        self._catalog = catalog
        self._loop = loop
        self._lease = leases.Lease(client, keys.ROLLOUTS_LEASE, process.encode(), _LEASE_S)
        self._running: dict[Place, RolloutRecord] = {}
        """The rollouts that have not ended, as they were read at `_read_at` and have changed since."""
        self._read_at = -_READ_S
        for event in RolloutEvent:
            # An alert on the first one needs a series that begins at 0.
            metrics.ROLLOUTS.labels(event)

    async def run(self) -> None:
        """Run until cancelled."""
        await self._loop.run(self._turn)

    async def _turn(self) -> float:
        if await self._lease.hold():
            await self.refresh()
        else:
            self._read_at = -_READ_S
        return STEP_CHECK_S

    async def refresh(self) -> None:
        """Look at every rollout once."""
        if time.monotonic() - self._read_at >= _READ_S:
            # The catalog may not have seen a rollout that ended soon.
            self._running = await rollouts.running(self._client)
            self._read_at = time.monotonic()
        places = {
            (entry.name, alias): (entry, route)
            for entry in self._catalog.entries.values()
            for alias, route in entry.routes.items()
            if route.rollout
        }
        for place, (entry, route) in places.items():
            with self._loop.item(f"the rollout of {place[0]}@{place[1]}"):
                await self._look(place, entry, route)
        for place in self._running.keys() - places.keys():
            with self._loop.item(f"the rollout of {place[0]}@{place[1]}"):
                await self._close(place, self._running[place])

    async def _look(self, place: Place, entry: Entry, route: Route) -> None:
        """Take the step of a rollout that is due, if any."""
        canary = route.canary
        assert canary is not None
        assert canary.rollout is not None
        record = self._running.get(place)
        if record is None or record.id != canary.rollout.id:
            begun = canary.rollout.started_at
            record = RolloutRecord(canary.rollout.id, canary.version, route.version, RolloutState.RUNNING, canary.percent, "", begun)
            self._running[place] = record
        version = entry.versions.get(canary.version)
        progress = await measured(self._client, entry, route)
        if version is None or (version.state is Readiness.UNAVAILABLE and not version.unloaded):
            fault = f"the version cannot be served: {version.reason if version else 'it does not exist'}"
        else:
            fault = progress.fault if progress else ""
        try:
            if fault:
                await self._abort(place, route, record, fault)
            elif progress is not None and progress.passed and version is not None and version.manifest is not None:
                await self._advance(place, route, record, canary, canary.rollout, Series.of(version.manifest))
        except ModelConflict:
            # Somebody has changed the alias. The next turn sees what it is now.
            return

    async def _abort(self, place: Place, route: Route, record: RolloutRecord, fault: str) -> None:
        await self._routes.reroute(*place, route, replace(route, canary=None))
        await self._end(place, record, RolloutState.ABORTED, fault)

    async def _advance(self, place: Place, route: Route, record: RolloutRecord, canary: Canary, rollout: Rollout, series: Series) -> None:
        percent = rollout.after(canary.percent)
        if percent is None:
            if canary.percent >= 100:
                await self._routes.promote(*place, canary.version, before=route.version)
                await self._end(place, record, RolloutState.COMPLETED, "")
            return
        now = await clock.now(self._client)
        [counted] = await stats.total(self._client, [series], now, now)
        step = replace(canary, percent=percent, rollout=rollout.stepped(now, counted))
        await self._routes.reroute(*place, route, replace(route, canary=step))
        moved = replace(record, percent=percent)
        self._running[place] = await rollout_events.record(self._client, self._settings, place, moved, RolloutEvent.ADVANCED)

    async def _close(self, place: Place, record: RolloutRecord) -> None:
        """End the record of a rollout that is over, unless the catalog has not noticed it yet."""
        route = await self._routes.read(*place)
        if route is not None and route.rollout == record.id:
            return
        stored = await rollouts.read(self._client, *place)
        if stored is None or stored.id != record.id or stored.state.final:
            # The request that ended it has written the record, too.
            del self._running[place]
        else:
            end = record.over(route.version if route is not None else None)
            await self._end(place, record, end.state, end.reason)

    async def _end(self, place: Place, record: RolloutRecord, state: RolloutState, reason: str) -> None:
        await rollout_events.ended(self._client, self._settings, place, record, state, reason)
        self._running.pop(place, None)
