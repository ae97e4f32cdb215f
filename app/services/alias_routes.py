"""Where the aliases of models lead: read from their file, and changed in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec

from app.core import callers
from app.core.errors import ModelsReadOnly, ModelUnavailable, VersionNotFound
from app.core.models import Manifest
from app.core.routes import Route
from app.registry.repository import Repository
from app.services.catalog import Catalog
from app.services.model_entry import Entry, Readiness

Parameters = ParamSpec("Parameters")


class AliasRoutes:
    """The aliases in the model repository, whose files are newer than the catalog."""

    def __init__(self, repository: Repository, catalog: Catalog) -> None:
        self._repository = repository
        self._catalog = catalog

    async def find(self, name: str, alias: str) -> tuple[Entry, Route]:
        """Return a model, and where its alias leads.

        Raises:
            KeyRestricted: The caller may not use the model.
            ModelNotFound, VersionNotFound: The model does not exist, or the alias is not set.
        """
        callers.check_model(name)
        entry = await self._catalog.entry(name)
        route = await self.read(name, alias)
        if route is None:
            raise VersionNotFound(f"The model {name!r} has no alias {alias!r}. Promote a version to it first.")
        return entry, route

    async def read(self, name: str, alias: str) -> Route | None:
        """Return where an alias leads, or None if it or its model is gone."""
        if name not in await asyncio.to_thread(self._repository.models):
            return None
        return (await asyncio.to_thread(self._repository.routes, name)).get(alias)

    async def servable(self, name: str, version: str) -> Manifest:
        """Return the manifest of a version. Raises ModelNotFound, VersionNotFound, or ModelUnavailable if it cannot be served."""
        entry = await self._catalog.entry(name)
        if version not in entry.versions:
            await self._catalog.refresh()  # It may have been published a moment ago.
            entry = await self._catalog.entry(name)
        if version not in entry.versions:
            raise VersionNotFound(f"The model {name!r} has no version {version!r}. Versions: {', '.join(entry.versions)}.")
        state = entry.versions[version]
        if state.manifest is None or (state.state is Readiness.UNAVAILABLE and not state.unloaded):
            raise ModelUnavailable(f"{name}@{version} cannot be served: {state.reason}")
        return state.manifest

    async def reroute(self, name: str, alias: str, before: Route, after: Route) -> None:
        """Let an alias lead elsewhere. Raises ModelConflict if it does not lead to `before` any more, or ModelsReadOnly."""
        await _write(self._repository.reroute, name, alias, before, after)
        await self._catalog.refresh()

    async def promote(self, name: str, alias: str, version: str, *, before: str) -> None:
        """Point an alias from one version to another, without a canary or shadow. Raises ModelConflict or ModelsReadOnly."""
        await _write(self._repository.promote, name, alias, version, expect=before)
        await self._catalog.refresh()


async def _write(change: Callable[Parameters, None], *arguments: Parameters.args, **options: Parameters.kwargs) -> None:
    try:
        await asyncio.to_thread(change, *arguments, **options)
    except OSError as error:
        detail = f"The API cannot write the model repository ({error.strerror or error}). Run it where the repository can be written."
        raise ModelsReadOnly(detail) from None
