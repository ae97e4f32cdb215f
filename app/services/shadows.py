"""Shadows of aliases: a version predicts again what the version of the alias answers, and the answers are compared."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import redis.asyncio

from app.core import audit, callers
from app.core.audit import Action, Target
from app.core.errors import ModelConflict, ShadowNotFound, VersionNotFound
from app.core.models import Manifest
from app.core.routes import JOB, Route, Shadow, mismatch
from app.core.shadows import ShadowReport
from app.registry.repository import Repository
from app.services.catalog import Catalog
from app.services.model_entry import Entry
from app.services.rollouts import servable, written
from app.store import audit as audit_store
from app.store import shadows


@dataclass(frozen=True, slots=True)
class Shadowing:
    """The shadow of an alias, and what its comparisons have shown."""

    version: str
    shadow: Shadow
    report: ShadowReport


class ShadowService:
    """The shadows of aliases."""

    def __init__(self, client: redis.asyncio.Redis, repository: Repository, catalog: Catalog) -> None:
        self._client = client
        self._repository = repository
        self._catalog = catalog

    async def cast(self, name: str, alias: str, shadow: Shadow) -> Shadowing:
        """Give an alias a shadow.

        Raises:
            ModelNotFound, VersionNotFound: The model or the version does not exist, or the alias is not set.
            ModelUnavailable: The version cannot be served.
            ModelConflict: Its answers could not be compared, or the alias has changed meanwhile.
            ModelsReadOnly: This process cannot write the repository.
        """
        callers.check_model(name)
        entry, route = await self._place(name, alias)
        if shadow.version not in entry.versions:
            await self._catalog.refresh()  # It may have been published a moment ago.
            entry = await self._catalog.entry(name)
        _check(f"{name}@{alias}", servable(entry, route.version), servable(entry, shadow.version))
        await self._change(name, alias, route, shadow)
        return await self._shown(name, route, shadow)

    async def read(self, name: str, alias: str) -> Shadowing:
        """Return the shadow of an alias.

        Raises:
            ModelNotFound, VersionNotFound: The model does not exist, or the alias is not set.
            ShadowNotFound: The alias has no shadow.
        """
        callers.check_model(name)
        _, route = await self._place(name, alias)
        return await self._shown(name, route, _present(name, alias, route))

    async def remove(self, name: str, alias: str) -> Shadowing:
        """Take the shadow of an alias away. Returns what it was, and raises like `read` and `cast`."""
        callers.check_model(name)
        _, route = await self._place(name, alias)
        shadow = _present(name, alias, route)
        await self._change(name, alias, route, None)
        return await self._shown(name, route, shadow)

    async def _place(self, name: str, alias: str) -> tuple[Entry, Route]:
        entry = await self._catalog.entry(name)
        route = (await asyncio.to_thread(self._repository.routes, name)).get(alias)
        if route is None:
            raise VersionNotFound(f"The model {name!r} has no alias {alias!r}. Promote a version to it first.")
        return entry, route

    async def _change(self, name: str, alias: str, route: Route, shadow: Shadow | None) -> None:
        await written(self._repository.reroute, name, alias, route, replace(route, shadow=shadow))
        before, after = ({"version": each.version, "rate": each.rate} if each else None for each in (route.shadow, shadow))
        await audit_store.write(
            self._client, audit.draft(Action.MODEL_SHADOW_CHANGED, Target("model", f"{name}@{alias}"), before=before, after=after)
        )
        await self._catalog.refresh()

    async def _shown(self, name: str, route: Route, shadow: Shadow) -> Shadowing:
        return Shadowing(route.version, shadow, await shadows.read(self._client, (name, route.version, shadow.version)))


def _check(which: str, before: Manifest, shadow: Manifest) -> None:
    """Raise ModelConflict if the answers of two versions could not be compared, or another pool would have to answer."""
    if before is shadow:
        raise ModelConflict(f"{which} points to {shadow.version} already.", pointer="/version")
    if reason := mismatch(before, shadow, JOB):
        raise ModelConflict(f"{shadow.name}@{shadow.version} cannot shadow {which}: {reason}.", pointer="/version")
    if before.pool != shadow.pool:
        detail = f"{shadow.name}@{shadow.version} cannot shadow {which}: it is in the pool {shadow.pool!r}, not in {before.pool!r}."
        raise ModelConflict(detail, pointer="/version")


def _present(name: str, alias: str, route: Route) -> Shadow:
    if route.shadow is None:
        raise ShadowNotFound(f"{name}@{alias} has no shadow. Set one with a PUT request.")
    return route.shadow
