"""Models: load, unload and remove them."""

from __future__ import annotations

import asyncio

import redis.asyncio

from app.broker.retention import Retention
from app.core import audit
from app.core.audit import Action, Target
from app.core.errors import DeadlineExceeded, InvalidInput, ModelsReadOnly, ModelUnavailable
from app.core.models import ModelRef
from app.core.promotions import Promotion
from app.registry.pipelines import Pipelines
from app.registry.repository import Repository
from app.services.catalog import Catalog
from app.services.model_entry import Entry, Readiness, Version
from app.settings import Settings
from app.store import audit as audit_store
from app.store import direct_failures, unloaded_models
from app.store.redis.client import connect


class ModelService:
    """The models of the repository."""

    def __init__(
        self, client: redis.asyncio.Redis, settings: Settings, repository: Repository, pipelines: Pipelines, catalog: Catalog
    ) -> None:
        self._client = client
        self._settings = settings
        self._repository = repository
        self._pipelines = pipelines
        self._catalog = catalog

    async def load(self, name: str) -> None:
        """Serve a model again and wait until workers hold the versions that its aliases and its bare name mean.

        Versions that were kept off the direct lane because a process died may return to it.

        Raises:
            ModelNotFound: The model does not exist.
            ModelUnavailable: A version cannot be served.
            DeadlineExceeded: No worker held a version within `infer_timeout_s`.
        """
        catalog, pending = self._catalog, ""
        await catalog.refresh()
        entry = await catalog.entry(name)
        await direct_failures.forget(self._client, [(name, version) for version in entry.versions])
        await unloaded_models.remove(self._client, name, _serving(Action.MODEL_LOADED, name, unloaded=False))
        seconds = self._settings.infer_timeout_s
        try:
            async with asyncio.timeout(seconds):
                await catalog.refresh()
                while pending := _pending(await catalog.entry(name)):
                    await catalog.refreshed()
        except TimeoutError:
            raise DeadlineExceeded(
                f"No worker has loaded {name}@{pending} within {seconds:g} s. Check that a worker of its pool is running."
            ) from None

    async def unload(self, name: str) -> None:
        """Take a model out of service in all processes. Jobs that were accepted before still run.

        Raises:
            ModelNotFound: The model does not exist.
        """
        await self._catalog.entry(name)
        await unloaded_models.add(self._client, name, _serving(Action.MODEL_UNLOADED, name, unloaded=True))
        await self._catalog.refresh()

    async def remove(self, ref: ModelRef) -> Version:
        """Delete a version from the repository and return what it was.

        Raises:
            InvalidInput: The reference names an alias.
            ModelConflict: The version is in use.
            ModelsReadOnly: This process cannot write the repository.
        """
        if not ref.version:
            raise InvalidInput(f"{ref.alias!r} is an alias. Name the version itself, for example 3.", pointer="/version")
        _, version = await self._catalog.resolve(ref)
        try:
            await asyncio.to_thread(self._remove, ref.name, ref.version)
        except OSError as error:
            raise ModelsReadOnly(
                f"The API cannot write the model repository ({error.strerror or error}). "
                "Run `celeriac models prune` where it can be written, for example in a worker that trains."
            ) from None
        await self._catalog.refresh()
        return version

    async def promote(self, name: str, alias: str, version: str) -> Promotion:
        """Point an alias to a version as soon as a worker serves it. Returns the request; its state is `served` if the alias has moved.

        Raises:
            ModelNotFound: The model does not exist.
            VersionNotFound: The version does not exist.
            InvalidInput: The alias is invalid.
            ModelUnavailable: The version cannot be served.
            ModelsReadOnly: This process cannot write the repository.
        """
        entry = await self._catalog.entry(name)
        target = entry.versions.get(version)
        if target is not None and target.state is Readiness.UNAVAILABLE and target.manifest is not None:
            raise ModelUnavailable(f"{name}@{version} cannot be served: {target.reason}")
        try:
            promotion = await asyncio.to_thread(self._repository.request_promotion, name, alias, version)
        except OSError as error:
            raise ModelsReadOnly(
                f"The API cannot write the model repository ({error.strerror or error}). Run `celeriac models promote` where it can be written."
            ) from None
        await audit_store.write(self._client, _requested(name, promotion))
        await self._catalog.refresh()
        return promotion

    def _remove(self, name: str, version: str) -> None:
        with connect() as client:
            Retention(self._repository, self._pipelines, client).remove(name, version)


def _serving(action: Action, name: str, *, unloaded: bool) -> bytes:
    """Return the entry of the audit log for a model that is loaded or unloaded."""
    return audit.draft(action, Target("model", name), before={"unloaded": not unloaded}, after={"unloaded": unloaded})


def _requested(name: str, promotion: Promotion) -> bytes:
    """Return the entry of the audit log for a request to move an alias. That it moves has an entry of its own."""
    target = Target("model", f"{name}@{promotion.alias}")
    before, after = {"version": promotion.before}, {"version": promotion.version}
    return audit.draft(Action.MODEL_PROMOTION_REQUESTED, target, before=before, after=after)


def _pending(entry: Entry) -> str:
    """Return a served version that no worker holds yet, or an empty string. Raises ModelUnavailable if one cannot be served."""
    for served in sorted({entry.default, *entry.aliases.values()} & entry.versions.keys()):
        version = entry.versions[served]
        if version.state is Readiness.UNAVAILABLE:
            raise ModelUnavailable(f"{entry.name}@{served} cannot be served: {version.reason}")
        if version.state is not Readiness.READY:
            return served
    return ""
