"""What can be served: the versions and aliases of the repository, joined with what living workers report of them.

An alias means the version that a worker served for it last. It moves when a worker serves the version that its file names.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Final

import redis.asyncio

from app.broker.replies import Replies
from app.core import callers, promotions
from app.core.errors import CeleriacError, KeyRestricted, ModelNotFound, ModelUnavailable, VersionNotFound
from app.core.jobs import Job
from app.core.models import PRODUCTION, Manifest, ModelRef
from app.core.promotions import BARE_NAME, Promotion, PromotionState
from app.core.routes import Route
from app.core.tensors import Tensor
from app.loops import IDLE_S, Loop
from app.registry.repository import Repository
from app.services.model_entry import Entry, Readiness, Version
from app.services.publications import Publications
from app.store import keys, serving, unloaded_models, workers
from app.store.serving import Serving

log = logging.getLogger(__name__)
_REFRESH_S: Final = 1.0
_PAUSE_S: Final = 0.1
"""Shortest time between two refreshes, however many requests name what is not there."""
_UNLOADED: Final = "it was unloaded; POST /v2/repository/models/{}/load serves it again"


class Catalog:
    """The models of the repository as this process knows them. Its files are read every second, its tables in Redis when they change.

    A lookup costs no I/O. Only one of an unknown model or version waits for a refresh, because it may just have been published.

    Attributes:
        autoscaled: Pools that an autoscaler starts from zero when jobs wait.
        entries: The models by name.
        workers: The living workers.
    """

    def __init__(
        self,
        repository: Repository,
        client: redis.asyncio.Redis,
        replies: Replies,
        autoscaled: Collection[str] = (),
        loop: Loop | None = None,
    ) -> None:
        self.autoscaled = frozenset(autoscaled)
        self._repository = repository
        self._client = client
        self._replies = replies
        self._loop = loop or Loop("catalogue")
        self._publications = Publications(client)
        self._inferred: dict[str, Manifest] = {}
        self._unloaded: frozenset[str] = frozenset()
        self._served = Serving()
        self._manifests: dict[tuple[str, str], Manifest] = {}
        self.entries: dict[str, Entry] = {}
        self.workers: list[workers.Worker] = []
        self._slots = Counter[str]()
        self._requested = asyncio.Event()
        self._read_again_at = 0.0
        self._next = asyncio.Event()

    async def run(self) -> None:
        """Refresh until the task is cancelled."""
        async with self._replies.listen(keys.TABLES_CHANGED) as self._requested:
            await self._loop.run(self._turn)

    async def _turn(self) -> float:
        whole = self._requested.is_set() or time.monotonic() >= self._read_again_at
        self._requested.clear()
        await self.refresh(whole=whole)
        await asyncio.sleep(_PAUSE_S)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._requested.wait(), _REFRESH_S - _PAUSE_S)
        return 0.0

    async def refresh(self, *, whole: bool = True) -> None:
        """Refresh once. What the repository or Redis cannot report at the moment stays unchanged. If not `whole`, only files are read."""
        refreshed, self._next = self._next, asyncio.Event()
        try:
            # A worker that is gone notifies nobody: it is noticed by the time of its last heartbeat.
            if whole or workers.first_silent_s(self.workers) <= 0:
                with self._loop.item("the list of workers"):
                    self.workers = await workers.read(self._client)
            if whole:
                await self._read_tables()
            with self._loop.item("the model repository"):
                self.entries = await asyncio.to_thread(self._look, self.workers, self._inferred, self._unloaded, self._served)
            with self._loop.item("the audit log of published versions"):
                await self._publications.observe(self.entries)
            self._slots = Counter[str]()
            for worker in self.workers:
                self._slots[worker.pool] += worker.processes
        finally:
            refreshed.set()

    async def _read_tables(self) -> None:
        self._read_again_at = 0.0
        with self._loop.item("the manifests of bare models"):
            self._inferred = await workers.inferred(self._client)
        with self._loop.item("the list of unloaded models"):
            self._unloaded = await unloaded_models.read_async(self._client)
        with self._loop.item("the versions that aliases lead to"):
            self._served = await serving.read_async(self._client)
        if not self._loop.failed:
            self._read_again_at = time.monotonic() + IDLE_S

    async def refreshed(self) -> None:
        """Wait for a refresh that begins from now on."""
        await self._next.wait()

    def slots(self, pool: str) -> int:
        """Return how many predictions the living workers of a pool run at once, at least 1."""
        return self.living(pool) or 1

    def living(self, pool: str) -> int:
        """Return how many predictions the living workers of a pool run at once, 0 if there are none."""
        return self._slots[pool]

    def pools(self) -> set[str]:
        """Return the pools of every model and every living worker."""
        named = {manifest.pool for manifest in self._manifests.values()}
        return named | {worker.pool for worker in self.workers}

    @property
    def can_predict(self) -> bool:
        """Whether a worker is alive, or an autoscaler starts one for the first request."""
        return bool(self.workers or self.autoscaled)

    async def entry(self, name: str) -> Entry:
        """Return a model. Raises ModelNotFound, or KeyRestricted if the caller may not name it."""
        callers.check_model(name)
        if name not in self.entries:
            await self._refresh_now()
        entry = self.entries.get(name)
        if entry is None:
            raise ModelNotFound(
                f"Model {name!r} does not exist. Available models: {', '.join(sorted(self.entries)) or 'none'}.", pointer="/model"
            )
        return entry

    async def resolve(self, ref: ModelRef) -> tuple[str, Version]:
        """Return the version that a reference means now. Raises ModelNotFound or VersionNotFound."""
        entry = await self.entry(ref.name)
        version = entry.means(ref)
        if version not in entry.versions:
            await self._refresh_now()
            entry = await self.entry(ref.name)
            version = entry.means(ref)
        if version not in entry.versions:
            there = ", ".join([*entry.versions, *entry.aliases])
            raise VersionNotFound(f"{ref.name!r} has no version or alias {ref.version or ref.alias!r}; it has {there}.", pointer="/model")
        return version, entry.versions[version]

    def answers(self, name: str, version: str) -> bool:
        """Return whether a request for a version in `entries` would be answered.

        A worker has loaded it; or it is superseded, so that a worker loads it on the first request; or its pool is at zero, and the
        queued request makes the autoscaler start a worker.
        """
        entry = self.entries[name]
        target = entry.versions[version]
        if target.state is not Readiness.COLD or target.manifest is None:
            return target.state is Readiness.READY
        if self.living(target.manifest.pool):
            return version not in entry.aliases.values() and version != next(reversed(entry.versions))
        return target.manifest.pool in self.autoscaled

    def classes(self, job: Job) -> tuple[Any, ...]:
        """Return the class of each column of a job's result, or () if its columns are not classes."""
        entry = self.entries.get(job.model)
        version = entry.versions.get(job.version) if entry and not job.work else None
        return version.manifest.classes_of(job.outputs) if version and version.manifest else ()

    async def serving(self, ref: ModelRef) -> Manifest:
        """Return the manifest to predict with. Raises ModelNotFound, VersionNotFound, ModelUnavailable or KeyRestricted."""
        name, version = await self.resolve(ref)
        if version.state is Readiness.UNAVAILABLE or version.manifest is None:
            raise ModelUnavailable(f"{ref.name}@{name} cannot be served: {version.reason}")
        callers.check_pool(version.manifest.pool)
        return version.manifest

    def routed(self, ref: ModelRef, manifest: Manifest, inputs: Sequence[Tensor] = (), id: str = "") -> Manifest:
        """Return the manifest of the canary if a request for an alias falls to it, else `manifest`.

        Args:
            ref: The reference in the request.
            manifest: What `serving` returned for it.
            inputs: The inputs. Without them, a canary that goes by a value of theirs takes nothing.
            id: ID that the caller gave, so that the same request sent again falls to the same version.
        """
        entry = self.entries.get(ref.name)
        trial = entry.canary(ref) if entry is not None else None
        if entry is None or trial is None:
            return manifest
        # The alias may have moved since `serving`, and the inputs were parsed for `manifest`.
        return trial.manifest if entry.means(ref) == manifest.version and trial.takes(inputs, id) else manifest

    def cached_manifest(self, ref: ModelRef) -> Manifest | None:
        """Return the manifest to predict with, or None where `serving` waits or raises, or where a canary may take the request."""
        entry = self.entries.get(ref.name)
        version = entry.versions.get(entry.means(ref)) if entry is not None and entry.canary(ref) is None else None
        if version is None or version.manifest is None or version.state is Readiness.UNAVAILABLE:
            return None
        try:
            callers.check_model(ref.name)
            callers.check_pool(version.manifest.pool)
        except KeyRestricted:
            return None
        return version.manifest

    async def _refresh_now(self) -> None:
        self._requested.set()
        # Not for longer: Redis or the volume may be unavailable, and what was known stays true.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.refreshed(), _REFRESH_S)

    def _look(self, living: list[workers.Worker], inferred: dict[str, Manifest], gone: frozenset[str], served: Serving) -> dict[str, Entry]:
        ready = {(name, version) for worker in living for name, version in worker.ready}
        loading = {(name, version) for worker in living for name, version in worker.loading}
        refused = {(name, version): reason for worker in living for name, version, reason in worker.refused}
        entries = {}
        for name in self._repository.models():
            # An error in one model must not keep the others from being refreshed.
            with self._loop.item(f"the model {name}"):
                entry, moves = Entry(name), self._moves(name)
                for version in self._repository.versions(name):
                    key = (name, version)
                    manifest, broken = self._manifest(key, inferred)
                    if name in gone:
                        entry.versions[version] = Version(manifest, Readiness.UNAVAILABLE, _UNLOADED.format(name), unloaded=True)
                    elif manifest is None or (key in refused and key not in ready):
                        entry.versions[version] = Version(manifest, Readiness.UNAVAILABLE, refused.get(key) or broken)
                    elif key in ready:
                        entry.versions[version] = Version(manifest, Readiness.READY)
                    elif key in loading:
                        entry.versions[version] = Version(manifest, Readiness.LOADING)
                    else:
                        entry.versions[version] = Version(manifest, Readiness.COLD)
                self._point(entry, moves, served, {worker.pool for worker in living})
                entries[name] = entry
            if name not in entries and name in self.entries:
                entries[name] = self.entries[name]
        # A version number may be used again, for another version.
        self._manifests = {
            key: manifest for key, manifest in self._manifests.items() if key[0] in entries and key[1] in entries[key[0]].versions
        }
        return entries

    def _manifest(self, key: tuple[str, str], inferred: dict[str, Manifest]) -> tuple[Manifest | None, str]:
        """Return a manifest, or why there is none. A version is immutable, so that it is read once. Only a bare artifact can be replaced."""
        inferred_manifest = inferred.get("/".join(key))
        if key not in self._manifests or inferred_manifest not in (None, self._manifests[key]):
            try:
                manifest = self._repository.manifest(*key) or inferred_manifest
            except CeleriacError as error:
                return None, error.detail
            if manifest is None:
                return None, "it has no manifest, and no worker has loaded it yet to infer one"
            self._manifests[key] = manifest
        return self._manifests[key], ""

    def _moves(self, name: str) -> tuple[dict[str, Route], dict[str, Promotion]] | CeleriacError:
        """The aliases of a model and the requests to move them, or why they cannot be read."""
        try:
            return self._repository.pointers(name)
        except CeleriacError as error:
            return error

    def _point(
        self, entry: Entry, moves: tuple[dict[str, Route], dict[str, Promotion]] | CeleriacError, serving: Serving, pools: set[str]
    ) -> None:
        """Point the aliases to what workers serve, and list the moves that wait or failed."""
        served, failures = serving.of(entry.name), serving.failures_of(entry.name)
        if isinstance(moves, CeleriacError):
            log.warning("Aliases of %s stay as they are: %s", entry.name, moves.detail)
            aliases, requests = {alias: version for alias, version in served.items() if alias != BARE_NAME}, dict[str, Promotion]()
            stay = [Promotion("", alias, at, at, "", str(PromotionState.FAILED), moves.detail) for alias, at in aliases.items()]
            entry.promotions.extend(stay)
        else:
            routes, requests = moves
            aliases = {alias: route.version for alias, route in routes.items()}
            entry.routes = {alias: route for alias, route in routes.items() if len(route.versions) > 1}
        pending = promotions.pending(aliases, requests, failures)
        wanted = promotions.targets([*entry.versions], aliases, requests, failures, served)
        for alias, target in wanted.items():
            current = promotions.leads_to(alias, entry.versions, aliases, served, wanted)
            if alias == BARE_NAME:
                entry.default = current
            else:
                entry.aliases[alias] = current
                if (previous := serving.previous_of(entry.name).get(alias)) in entry.versions and previous != current:
                    entry.previous[alias] = previous
            if current != target and not (alias == BARE_NAME and PRODUCTION in wanted):
                entry.promotions.append(_promotion(entry, pending.get(alias) or Promotion("", alias, target), current, pools))
        for alias, request in requests.items():
            failure = failures.get(alias)
            reason = request.reason or (failure.reason if failure and failure.id == request.id else "")
            if reason and aliases.get(alias) == request.before:
                entry.promotions.append(replace(request, state=str(PromotionState.FAILED), reason=reason))
        for alias in entry.routes:
            if trial := entry.trial(alias, lambda pool: pool in self.autoscaled and pool not in pools):
                entry.canaries[alias] = trial
                if alias == PRODUCTION:
                    entry.canaries[BARE_NAME] = trial


def _promotion(entry: Entry, request: Promotion, current: str, pools: set[str]) -> Promotion:
    """Return a move that has not happened, and why."""
    version = entry.versions.get(request.version)
    state, reason = PromotionState.PENDING, "A worker is loading it."
    if version is None:
        state, reason = PromotionState.FAILED, f"{entry.name} has no version {request.version}."
    elif version.state is Readiness.UNAVAILABLE:
        state, reason = PromotionState.PENDING if request.id or version.manifest is None else PromotionState.FAILED, version.reason
    elif version.manifest is not None and version.manifest.pool not in pools:
        reason = f"No worker of the pool {version.manifest.pool!r} is running. The first one that loads the version decides."
    return replace(request, before=current, state=str(state), reason=reason)
