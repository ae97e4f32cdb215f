"""Removing old versions of models. The newest ones, those of an alias and those in use stay."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

import redis

from app import metrics
from app.broker import names
from app.core import audit
from app.core.audit import Action, Target
from app.core.errors import ModelConflict, ModelUnavailable, PipelineUnavailable, VersionNotFound
from app.core.models import DEFAULT_POOL, references
from app.registry.pipelines import Pipelines
from app.registry.reading import BARE
from app.registry.repository import Repository
from app.store import model_references, serving
from app.store.audit import write_removal


@dataclass(frozen=True, slots=True)
class Retention:
    """Removes versions. Raises RedisError if Redis is unavailable, OSError if the repository cannot be read or written."""

    repository: Repository
    pipelines: Pipelines
    client: redis.Redis

    def prune(self, name: str, keep: int, *, spared: Collection[str] = (), dry_run: bool = False) -> list[str]:
        """Remove the unused versions of a model that are older than the newest `keep` (0: keep all).

        Return the removed versions; with `dry_run` nothing is removed. Raises ModelNotFound.
        """
        versions, routes = self.repository.versions(name), self.repository.routes(name).values()
        pointed = {version for route in routes for version in route.versions}
        old = [version for version in versions[:-keep] if version not in {*pointed, *spared, BARE}] if keep else []
        used = self._used(name, old) if old else {}
        unused = [version for version in old if version not in used]
        if dry_run:
            return unused
        removed = []
        for version in unused:
            # Another process may have pruned too, or moved an alias.
            with suppress(ModelConflict, VersionNotFound):
                self._remove(name, version)
                removed.append(version)
        return removed

    def remove(self, name: str, version: str) -> None:
        """Remove a version. Raises ModelNotFound, or ModelConflict if the version is in use."""
        used = self._used(name, [version])
        if version in used:
            raise ModelConflict(f"{name}@{version} is used by {used[version]}. Remove it when that has ended or names another.")
        self._remove(name, version)

    def _remove(self, name: str, version: str) -> None:
        self.repository.remove(name, version)
        metrics.VERSIONS_REMOVED.labels(name).inc()
        target = Target("model", f"{name}@{version}")
        write_removal(self.client, audit.draft(Action.MODEL_DELETED, target, by=audit.actor("retention")), name, version)

    def _used(self, name: str, versions: Collection[str]) -> dict[str, str]:
        """Return the versions in use, and what uses them."""
        pools = set()
        for version in versions:
            with suppress(ModelUnavailable):  # nothing runs it
                manifest = self.repository.manifest(name, version)
                pools.add(manifest.pool if manifest else DEFAULT_POOL)
        users = {
            f"{name}@{version}": "an alias, for which it answers until another version is served"
            for version in serving.read(self.client).of(name).values()
        }
        users |= model_references.versions(self.client, {pool: names.queues(pool) for pool in pools})
        for pipeline in self.pipelines.names():
            with suppress(PipelineUnavailable):
                users |= dict.fromkeys(references(self.pipelines.read(pipeline)[1]), f"the pipeline {pipeline!r}")
        return {version: users[f"{name}@{version}"] for version in versions if f"{name}@{version}" in users}
