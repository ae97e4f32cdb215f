"""Rollouts: a version becomes what an alias points to, in steps. `rollout_steps` takes the steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import redis.asyncio

from app.core import gates
from app.core.errors import ModelConflict, RolloutNotFound
from app.core.jobs import new_id
from app.core.models import Manifest, ModelRef
from app.core.rollouts import Progress, RolloutRecord, RolloutState, progress
from app.core.routes import Canary, Route, mismatch
from app.core.stats import Series
from app.services import rollout_events
from app.services.alias_routes import AliasRoutes
from app.services.model_entry import Entry
from app.services.requests.rollouts import RolloutRequest
from app.services.rollout_events import RolloutEvent
from app.settings import Settings
from app.store import clock, rollouts, shadows, stats


@dataclass(frozen=True, slots=True)
class RolloutReport:
    """A rollout and how far it is. `canary` and `progress` are None when it has ended."""

    record: RolloutRecord
    canary: Canary | None = None
    progress: Progress | None = None


class RolloutService:
    """The rollouts of aliases."""

    def __init__(self, client: redis.asyncio.Redis, settings: Settings, routes: AliasRoutes) -> None:
        self._client = client
        self._settings = settings
        self._routes = routes

    async def start(self, name: str, alias: str, request: RolloutRequest) -> RolloutReport:
        """Let a version take the first share of the requests for an alias.

        Raises:
            ModelNotFound, VersionNotFound: The model or the version does not exist, or the alias is not set.
            ModelUnavailable: The version cannot be served.
            InvalidInput: The steps do not ascend.
            ModelConflict: The version cannot replace the one of the alias, fails a gate, or the alias is in a rollout or about to move.
            ModelsReadOnly: This process cannot write the repository.
        """
        entry, route = await self._routes.find(name, alias)
        before, after = [await self._routes.servable(name, version) for version in (route.version, request.version)]
        self._check(entry, alias, route, request, before, after)
        now = await clock.now(self._client)
        [counted] = await stats.total(self._client, [Series.of(after)], now, now)
        rollout = request.rollout(new_id(now), now, counted)
        canary = Canary(request.version, rollout.steps[0], request.by, rollout)
        started = replace(route, canary=canary)
        await self._routes.reroute(name, alias, route, started)
        record = RolloutRecord(rollout.id, request.version, route.version, RolloutState.RUNNING, canary.percent, "", now)
        record = await rollout_events.record(self._client, self._settings, (name, alias), record, RolloutEvent.STARTED)
        return await self._report(record, started, entry)

    async def read(self, name: str, alias: str) -> RolloutReport:
        """Return the last rollout of an alias.

        Raises:
            ModelNotFound, VersionNotFound: The model does not exist, or the alias is not set.
            RolloutNotFound: The alias has had no rollout.
        """
        entry, route = await self._routes.find(name, alias)
        return await self._report(await self._record(name, alias), route, entry)

    async def roll_back(self, name: str, alias: str) -> RolloutReport:
        """End a rollout: the alias leads to the version before alone. One that has ended stays as it is.

        Raises:
            ModelNotFound, VersionNotFound: The model does not exist, or the alias is not set.
            RolloutNotFound: The alias has had no rollout.
            ModelConflict: It took a step meanwhile.
            ModelsReadOnly: This process cannot write the repository.
        """
        _, route = await self._routes.find(name, alias)
        record = await self._record(name, alias)
        if route.rollout != record.id:
            return RolloutReport(record.over(route.version))
        await self._routes.reroute(name, alias, route, replace(route, canary=None))
        record = await rollout_events.ended(self._client, self._settings, (name, alias), record, RolloutState.ROLLED_BACK, "")
        return RolloutReport(record)

    async def _record(self, name: str, alias: str) -> RolloutRecord:
        record = await rollouts.read(self._client, name, alias)
        if record is None:
            raise RolloutNotFound(f"{name}@{alias} has had no rollout. Start one with `celeriac models rollout`.")
        return record

    async def _report(self, record: RolloutRecord, route: Route, entry: Entry) -> RolloutReport:
        if record.state.final or route.canary is None or route.rollout != record.id:
            return RolloutReport(record.over(route.version))
        return RolloutReport(record, route.canary, await measured(self._client, entry, route))

    def _check(self, entry: Entry, alias: str, route: Route, request: RolloutRequest, before: Manifest, after: Manifest) -> None:
        name = f"{entry.name}@{alias}"
        if not self._settings.stats_max_series:
            raise ModelConflict("Figures are off, so that no step could be judged. Set CELERIAC_STATS_MAX_SERIES.")
        if before is after:
            raise ModelConflict(f"{name} points to {request.version} already.", pointer="/version")
        if route.rollout and route.canary is not None:
            raise ModelConflict(f"{name} is in a rollout to {route.canary.version}. Roll it back first.", pointer="/alias")
        if any(promotion.alias == alias and promotion.version != promotion.before for promotion in entry.promotions):
            raise ModelConflict(f"{name} is about to move. Wait until it has, then start the rollout.", pointer="/alias")
        if reason := mismatch(before, after, request.by):
            raise ModelConflict(f"{entry.name}@{request.version} cannot replace {name}: {reason}.", pointer="/version")
        if request.min_agreement is not None and (route.shadow is None or route.shadow.version != request.version):
            raise ModelConflict(
                f"min_agreement needs comparisons. Make {request.version} the shadow of {name} first.", pointer="/min_agreement"
            )
        conditions = request.conditions()
        others = {which: self._metrics(entry, which) for which in gates.named(conditions)}
        failed = [check.reason for check in gates.judge(conditions, after.metrics, others) if not check.met]
        if failed:
            raise ModelConflict(f"{entry.name}@{request.version} fails a gate: {failed[0]}.", pointer="/promote_if")

    def _metrics(self, entry: Entry, which: str) -> dict[str, float] | None:
        version = entry.versions.get(entry.means(ModelRef.parse(f"{entry.name}@{which}")))
        return None if version is None or version.manifest is None else dict(version.manifest.metrics)


async def measured(client: redis.asyncio.Redis, entry: Entry, route: Route) -> Progress | None:
    """Return how the step of a rollout goes, or None if a manifest is missing."""
    canary = route.canary
    if canary is None or canary.rollout is None:
        return None
    versions = [entry.versions.get(version) for version in (route.version, canary.version)]
    manifests = [version.manifest for version in versions if version is not None and version.manifest is not None]
    if len(manifests) < 2:
        return None
    now = await clock.now(client)
    before, trial = await stats.total(client, [Series.of(manifest) for manifest in manifests], canary.rollout.step_at, now)
    report = None
    if canary.rollout.min_agreement is not None:
        report = await shadows.read(client, (entry.name, route.version, canary.version))
    return progress(canary.rollout, trial, before, now, report)
