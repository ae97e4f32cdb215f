"""The models that this worker holds. The main process loads them before the fork, so that pool processes share their pages."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from app import metrics
from app.core import promotions
from app.core.errors import CeleriacError, ModelUnavailable, error_text
from app.core.models import Manifest, RetryPolicy
from app.core.promotions import Promotion
from app.registry.opening import open_repository
from app.registry.repository import Repository
from app.runtime.loading import load
from app.runtime.model import Model
from app.settings import Settings
from app.store.serving import Serving, Slot
from app.worker.mirror import Mirror
from app.worker.smoke_test import Key, SmokeTests, Verdict

log = logging.getLogger(__name__)
_POLL_S: Final = 0.1
_RETEST_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """The versions that a pool has to hold: those that aliases lead to or should lead to, canaries, and the newest of each model.

    `targets` maps each alias to the version it should lead to, `requests` holds the pending promotions among them, and `gone` the
    aliases that no longer exist.
    """

    keys: frozenset[Key]
    targets: Mapping[Slot, str] = field(default_factory=dict)
    requests: Mapping[Slot, Promotion] = field(default_factory=dict)
    gone: frozenset[Slot] = frozenset()
    unreadable: frozenset[str] = frozenset()
    """Models whose files cannot be read now: the versions that are held stay."""

    @classmethod
    def look(cls, repository: Repository, unloaded: frozenset[str], serving: Serving) -> Wanted:
        """Read the repository. A file of a model that cannot be read changes nothing: the versions that were served stay."""
        keys: set[Key] = set()
        targets: dict[Slot, str] = {}
        requests: dict[Slot, Promotion] = {}
        gone: set[Slot] = set()
        unreadable: set[str] = set()
        models = repository.models()
        for name in models:
            if name in unloaded:
                continue
            served = serving.of(name)
            broken: Exception | None = None
            try:
                routes, requested = repository.pointers(name)
            except (CeleriacError, OSError) as error:
                broken = error
            try:
                versions = repository.versions(name)
            except CeleriacError:
                continue  # removed a moment ago
            except OSError as error:
                log.error("Could not read the versions of %s, keeping what is loaded: %s", name, error)
                unreadable.add(name)
                continue
            if broken is not None:
                log.error("Could not read the aliases of %s, keeping them unchanged: %s", name, broken)
                unreadable.add(name)
                keys.update((name, version) for version in (*served.values(), versions[-1]) if version in versions)
                continue
            failures = serving.failures_of(name)
            aliases = {alias: route.version for alias, route in routes.items()}
            wanted = promotions.targets(versions, aliases, requested, failures, served)
            targets |= {(name, alias): version for alias, version in wanted.items()}
            requests |= {(name, alias): request for alias, request in promotions.pending(aliases, requested, failures).items()}
            gone.update((name, alias) for alias in served if alias not in wanted)
            on_trial = (version for route in routes.values() for version in route.versions[1:])
            needed = [*wanted.values(), *(served[alias] for alias in wanted if alias in served), *on_trial, versions[-1]]
            keys.update((name, version) for version in needed if version in versions)
        if models:  # an empty folder is rather a volume that is not mounted
            gone.update((name, alias) for name in serving.versions.keys() - set(models) for alias in serving.of(name))
        return cls(frozenset(keys), targets, requests, frozenset(gone), frozenset(unreadable))


class Models:
    """The models of one worker.

    `loaded` models answer predictions. `refused` has the reason why a version does not. `arriving` ones are not yet in every process.


    A version in a bucket is first downloaded. Then it is in `tests`, then in `passed`, then in `loaded`. `inferred` holds the manifests of bare artifacts, which only a
    process that loads them can infer.
    """

    def __init__(self, settings: Settings) -> None:
        """Start without models."""
        self._settings = settings
        self.repository = open_repository(settings)
        self.mirror = None if isinstance(settings.models, Path) else Mirror(settings, self.repository)
        """Downloads versions, if the repository is in a bucket."""
        self.loaded: dict[Key, Model] = {}
        self.refused: dict[Key, str] = {}
        self._stamps: dict[Key, str] = {}
        self.inferred: dict[Key, Manifest] = {}
        self.arriving: set[Key] = set()
        self.tests = SmokeTests(self._load, settings)
        self.passed: dict[Key, float] = {}
        """Version -> seconds that it takes to load."""
        self._unwell: dict[Key, tuple[Model, float]] = {}

    def wanted(self, unloaded: frozenset[str] = frozenset(), serving: Serving | None = None) -> Wanted:
        """Return the versions that this worker has to hold.

        Args:
            unloaded: Models that were unloaded on request.
            serving: The versions that answer now.
        """
        return Wanted.look(self.repository, unloaded, serving or Serving())

    def missing(self, wanted: Wanted) -> list[Key]:
        """Return versions to load: new ones, and those whose files have changed (a bare artifact, or one that could not be served)."""
        repeated = self.mirror.repeated() if self.mirror else set()
        return sorted(key for key in wanted.keys if key in repeated or self._stamps.get(key) != self._stamp(key))

    def begin(self, key: Key) -> None:
        """Start the smoke test of a version, unless it belongs to another pool."""
        name, version = key
        self._stamps[key] = self._stamp(key)
        self.refused.pop(key, None)
        try:
            manifest = self.repository.manifest(name, version)
        except (CeleriacError, OSError) as error:
            self.refuse(key, error.detail if isinstance(error, CeleriacError) else error_text(error))
            return
        if manifest is None or manifest.pool == self._settings.pool:
            self.arriving.add(key)
            if self.mirror is None or self.repository.is_local(*key):
                self._test(key)
            else:
                self.mirror.add(key)

    @property
    def pending(self) -> set[Key]:
        """Versions that are being downloaded or tested."""
        return self.tests.keys | self.mirror.keys if self.mirror else self.tests.keys

    def download(self) -> bool:
        """Take the next step of downloads. Returns whether the mirror of the repository may have changed."""
        if self.mirror is None:
            return False
        compared, ended = self.mirror.advance()
        for key, reason in ended.items():
            if reason:
                self.refuse(key, reason)
            else:
                self._test(key)
        return compared

    def settle(self, name: str, promotion: Promotion, reason: str = "") -> None:
        """End a promotion in the repository."""
        if self.mirror:
            self.mirror.settle(name, promotion, reason)
        else:
            self.repository.settle(name, promotion, reason)

    def _test(self, key: Key) -> None:
        self.repository.hold(key)
        self.tests.add(key)

    def judge(self, verdict: Verdict) -> None:
        """Take a version whose smoke test has ended, to be loaded here, or refuse it."""
        if verdict.reason:
            self.refuse(verdict.key, verdict.reason)
        else:
            self.passed[verdict.key] = verdict.load_s

    def take(self) -> list[Key]:
        """Return the versions to load next, out of `passed`. A slow one is loaded alone, after the others: they need not wait for it."""
        quick = sorted(key for key, seconds in self.passed.items() if seconds <= self._settings.slow_load_s)
        chosen = quick or sorted(self.passed, key=self.passed.__getitem__)[:1]
        for key in chosen:
            del self.passed[key]
        return chosen

    def load(self, key: Key) -> None:
        """Load a version that passed its smoke test, into `loaded` or `refused`."""
        try:
            model = self._load(key)
        except CeleriacError as error:
            self.refuse(key, error.detail)
            return
        except Exception as error:
            log.exception("Loading %s@%s failed", *key)
            self.refuse(key, error_text(error))
            return
        if key in self._stamps:  # it is still wanted
            self.loaded[key] = model
            if self.repository.manifest(*key) is None:
                self.inferred[key] = model.manifest

    def refuse(self, key: Key, reason: str) -> None:
        """Keep the reason why a version is not served."""
        log.error("%s@%s is not served: %s", *key, reason)
        self.loaded.pop(key, None)
        self.arriving.discard(key)
        self.refused[key] = reason

    def preload(self, serving: Serving, unloaded: frozenset[str] = frozenset(), broken: Mapping[Key, str] = MappingProxyType({})) -> None:
        """Load what the pool has to hold, before this worker takes its first job.

        Waits for versions that were served before as long as they may take, and for others at most `load_wait_s`: these are loaded while
        the worker runs. Does not wait for versions that an earlier worker found to be broken; `broken` holds the stamps of their files.
        """
        missing = self.missing(self.wanted(unloaded, serving))
        doubtful = {key for key in missing if broken.get(key) == self._stamp(key)}
        for key in sorted(missing, key=doubtful.__contains__):
            self.begin(key)
        proven = {(name, version) for name, served in serving.versions.items() for version in served.values()}
        end = time.monotonic() + self._settings.load_wait_s
        try:
            while awaited := self.pending - doubtful:
                if time.monotonic() > end and not proven & awaited:
                    names = ", ".join("@".join(key) for key in sorted(awaited))
                    log.warning("Taking jobs although these versions are still loading after %g s: %s", self._settings.load_wait_s, names)
                    break
                self.download()
                for verdict in self.tests.advance(_POLL_S):
                    self.judge(verdict)
        except BaseException:  # a signal ends the worker before it has begun
            self.stop()
            raise
        if failed_before := ", ".join("@".join(key) for key in sorted(self.pending & doubtful)):
            log.warning("Taking jobs before these versions, which could not be served before, are tested again: %s", failed_before)
        while self.passed:
            for key in self.take():
                self.load(key)
        self.arriving = self.pending
        self.freeze()

    def stop(self) -> None:
        """Stop all smoke tests and downloads."""
        self.tests.stop()
        if self.mirror:
            self.mirror.stop()

    def freeze(self) -> None:
        """Keep the garbage collector from touching, and so copying, the pages that pool processes share."""
        gc.collect()
        gc.freeze()

    def broken(self) -> dict[Key, str]:
        """Return the stamps of the versions that are not served."""
        return {key: self._stamps[key] for key in self.refused if key in self._stamps}

    def forget(self, wanted: Wanted) -> list[Key]:
        """Drop versions that are no longer wanted. Returns those that were loaded."""
        gone = [key for key in self._stamps if key not in wanted.keys and key[0] not in wanted.unreadable]
        loaded = [key for key in gone if key in self.loaded]
        for key in gone:
            self.tests.discard(key)
            if self.mirror:
                self.mirror.discard(key)
            self.repository.release(key)
            self.arriving.discard(key)
            for held in (self.loaded, self.refused, self.inferred, self._stamps, self.passed):
                held.pop(key, None)
        return loaded

    def count(self) -> None:
        """Set the metric that alerts on versions which are not served."""
        ready = len(self.loaded.keys() - self.arriving)
        for state, number in (("ready", ready), ("loading", len(self.arriving)), ("unavailable", len(self.refused))):
            metrics.MODELS.labels(state).set(number)

    def get(self, name: str, version: str) -> Model:
        """Return a model, in a pool process.

        A version that the main process does not hold is loaded here: an older one, or one published a moment ago.

        Raises:
            ModelUnavailable: The version is not served here.
            ModelStoreUnavailable: The version is in a bucket, which does not answer.
        """
        key = (name, version)
        if key not in self.loaded:
            if key in self._unwell:
                self._retest(key)
                return self.loaded[key]
            if key in self.refused:
                raise ModelUnavailable(f"{name}@{version} is not served: {self.refused[key]}")
            log.info("Loading %s@%s on demand", name, version)
            self.repository.fetch(name, version)
            self.repository.hold(key)
            model = self._load(key)
            model.verify()
            self.loaded[key] = model
        return self.loaded[key]

    def retries(self, name: str, version: str) -> RetryPolicy:
        """Return the retry policy of a version; the default one if this process does not hold it."""
        model = self.loaded.get((name, version))
        return model.manifest.retries if model else RetryPolicy()

    def _retest(self, key: Key) -> None:
        """Run the smoke test again of a model that failed it in this process, though not elsewhere: what it needs may be available again.

        Raises:
            ModelUnavailable: It still fails.
        """
        model, tested_at = self._unwell[key]
        if time.monotonic() - tested_at < _RETEST_S:
            raise ModelUnavailable(f"{model} is not served: {self.refused[key]}")
        self._unwell[key] = model, time.monotonic()
        model.verify()
        del self._unwell[key], self.refused[key]
        self.loaded[key] = model

    def warm_up(self) -> None:
        """Make the first prediction of each model, in a pool process. It creates thread pools and caches."""
        for key, model in self.loaded.items():
            try:
                model.verify()
            except CeleriacError as error:
                self.refused[key] = error.detail
                self._unwell[key] = model, time.monotonic()
        for key in self.refused:
            self.loaded.pop(key, None)

    def _stamp(self, key: Key) -> str:
        try:
            return self.repository.stamp(*key)
        except (CeleriacError, OSError) as error:
            return str(error)

    def _load(self, key: Key) -> Model:
        options = self._settings
        try:
            return load(
                self.repository, *key, version_policy=options.version_policy, allow_pickle=options.allow_pickle, device=options.device
            )
        except FileNotFoundError as error:
            raise ModelUnavailable(f"{'@'.join(key)} was removed while it was loaded ({error.filename} is gone).") from None
