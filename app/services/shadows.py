"""Shadows of aliases: a version predicts again what the version of the alias answers, and the answers are compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import redis.asyncio

from app.core import audit
from app.core.audit import Action, Target
from app.core.errors import ModelConflict, ShadowNotFound
from app.core.models import Manifest
from app.core.routes import JOB, Route, Shadow, mismatch
from app.core.shadows import ShadowReport
from app.services.alias_routes import AliasRoutes
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

    def __init__(self, client: redis.asyncio.Redis, routes: AliasRoutes) -> None:
        self._client = client
        self._routes = routes

    async def cast(self, name: str, alias: str, shadow: Shadow) -> Shadowing:
        """Give an alias a shadow.

        Raises:
            ModelNotFound, VersionNotFound: The model or the version does not exist, or the alias is not set.
            ModelUnavailable: The version cannot be served.
            ModelConflict: Its answers could not be compared, or the alias has changed meanwhile.
            ModelsReadOnly: This process cannot write the repository.
        """
        _, route = await self._routes.find(name, alias)
        before, after = [await self._routes.servable(name, version) for version in (route.version, shadow.version)]
        _check(f"{name}@{alias}", before, after)
        await self._change(name, alias, route, shadow)
        return await self._shown(name, route, shadow)

    async def read(self, name: str, alias: str) -> Shadowing:
        """Return the shadow of an alias.

        Raises:
            ModelNotFound, VersionNotFound: The model does not exist, or the alias is not set.
            ShadowNotFound: The alias has no shadow.
        """
        _, route = await self._routes.find(name, alias)
        return await self._shown(name, route, _present(name, alias, route))

    async def remove(self, name: str, alias: str) -> Shadowing:
        """Take the shadow of an alias away. Returns what it was, and raises like `read` and `cast`."""
        _, route = await self._routes.find(name, alias)
        shadow = _present(name, alias, route)
        await self._change(name, alias, route, None)
        return await self._shown(name, route, shadow)

    async def _change(self, name: str, alias: str, route: Route, shadow: Shadow | None) -> None:
        await self._routes.reroute(name, alias, route, replace(route, shadow=shadow))
        before, after = (asdict(each) if each else None for each in (route.shadow, shadow))
        await audit_store.write(
            self._client, audit.draft(Action.MODEL_SHADOW_CHANGED, Target("model", f"{name}@{alias}"), before=before, after=after)
        )

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
        raise ShadowNotFound(f"{name}@{alias} has no shadow. Set one with `celeriac models shadow`.")
    return route.shadow
