"""How long versions of models are kept: the newest, those that an alias points to, and those that something still uses."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

import redis

from app import metrics
from app.broker import names
from app.core.errors import ModelConflict, ModelUnavailable, PipelineUnavailable, VersionNotFound
from app.core.models import DEFAULT_POOL, references
from app.registry.pipelines import Pipelines
from app.registry.repository import BARE, Repository
from app.store import model_references, serving


@dataclass(frozen=True, slots=True)
class Retention:
    """Raises RedisError where Redis does not tell what is used, OSError where the repository cannot be read or written."""

    repository: Repository
    pipelines: Pipelines
    client: redis.Redis

    def prune(self, name: str, keep: int, *, spared: Collection[str] = (), dry_run: bool = False) -> list[str]:
        """Removes the versions of a model that are older than the newest `keep`, 0 for all, and that nothing uses or points to.

        Returns them; with `dry_run` nothing is removed. Raises ModelNotFound.
        """
        versions, pointed = self.repository.versions(name), self.repository.aliases(name).values()
        old = [one for one in versions[:-keep] if one not in {*pointed, *spared, BARE}] if keep else []
        used = self._used(name, old) if old else {}
        unused = [version for version in old if version not in used]
        if dry_run:
            return unused
        removed = []
        for version in unused:
            # Another may prune too, or have moved an alias meanwhile.
            with suppress(ModelConflict, VersionNotFound):
                self._remove(name, version)
                removed.append(version)
        return removed

    def remove(self, name: str, version: str) -> None:
        """Raises ModelNotFound, or ModelConflict for a version that stays, which says why."""
        used = self._used(name, [version])
        if version in used:
            raise ModelConflict(f"{name}@{version} is used by {used[version]}: remove it when that has ended or names another")
        self._remove(name, version)

    def _remove(self, name: str, version: str) -> None:
        self.repository.remove(name, version)
        metrics.VERSIONS_REMOVED.labels(name).inc()

    def _used(self, name: str, versions: Collection[str]) -> dict[str, str]:
        """Those that are used, and by what."""
        pools = set()
        for version in versions:
            with suppress(ModelUnavailable):  # nothing runs it
                manifest = self.repository.manifest(name, version)
                pools.add(manifest.pool if manifest else DEFAULT_POOL)
        found = {
            f"{name}@{version}": "an alias, for which it answers until another version is served"
            for version in serving.read(self.client).of(name).values()
        }
        found |= model_references.versions(self.client, {pool: (names.interactive(pool), names.bulk(pool)) for pool in pools})
        for pipeline in self.pipelines.names():
            with suppress(PipelineUnavailable):
                found |= dict.fromkeys(references(self.pipelines.read(pipeline)[1]), f"the pipeline {pipeline!r}")
        return {version: found[f"{name}@{version}"] for version in versions if f"{name}@{version}" in found}
