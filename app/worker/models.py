"""The models that this worker holds. Loaded in the parent before the fork, so that children share their pages."""

from __future__ import annotations

import gc
import logging
import time
from dataclasses import dataclass
from typing import Final

from app.core.errors import CeleriacError, ModelUnavailable, told
from app.core.models import Manifest, RetryPolicy
from app.registry.repository import Repository
from app.runtime.loading import load
from app.runtime.model import Model
from app.settings import Settings
from app.worker.probation import probe

log = logging.getLogger(__name__)
_ASK_AGAIN_S: Final = 5.0
Key = tuple[str, str]
"""A model's name and version."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The versions that a pool has to hold: those an alias points to, and the newest of each model."""

    keys: frozenset[Key]
    unreadable: frozenset[str] = frozenset()
    """Models whose files could not be read now: what is held of them stays."""

    @classmethod
    def look(cls, repository: Repository, withdrawn: frozenset[str]) -> Wanted:
        found: set[Key] = set()
        unreadable: set[str] = set()
        for name in repository.models():
            if name in withdrawn:
                continue
            try:
                versions, aliases = repository.versions(name), repository.aliases(name)
            except (CeleriacError, OSError) as error:
                log.error("Could not read the versions of %s, what is loaded of it stays: %s", name, error)
                unreadable.add(name)
                continue
            found.update((name, version) for version in aliases.values() if version in versions)
            found.update((name, version) for version in versions[-1:])
        return cls(frozenset(found), frozenset(unreadable))


class Models:
    """`loaded` answers predictions, `refused` says why a version does not; `arriving` ones are not yet in every child.

    `inferred` holds the manifests of bare artefacts, which only a process that loads them can tell.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.repository = Repository(settings.models)
        self.loaded: dict[Key, Model] = {}
        self.refused: dict[Key, str] = {}
        self._stamps: dict[Key, str] = {}
        self.inferred: dict[Key, Manifest] = {}
        self.arriving: set[Key] = set()
        self._unwell: dict[Key, tuple[Model, float]] = {}

    def wanted(self, withdrawn: frozenset[str] = frozenset()) -> Wanted:
        """`withdrawn` models are not."""
        return Wanted.look(self.repository, withdrawn)

    def missing(self, wanted: Wanted) -> list[Key]:
        """Versions to load: new ones, and those whose files changed since (a bare artefact, or one that could not be served)."""
        return sorted(key for key in wanted.keys if self._stamps.get(key) != self._stamp(key))

    def load(self, key: Key) -> None:
        """Into `loaded` or `refused`. A model of another pool is neither."""
        name, version = key
        self._stamps[key] = self._stamp(key)
        self.refused.pop(key, None)
        try:
            manifest = self.repository.manifest(name, version)
            if manifest is not None and manifest.pool != self._settings.pool:
                return
            self.loaded[key] = self._load(key)
            if manifest is None:
                self.inferred[key] = self.loaded[key].manifest
        except CeleriacError as error:
            self.refuse(key, error.detail)
        except Exception as error:
            log.exception("Loading %s@%s failed", *key)
            self.refuse(key, told(error))

    def refuse(self, key: Key, reason: str) -> None:
        log.error("%s@%s is not served: %s", *key, reason)
        self.loaded.pop(key, None)
        self.refused[key] = reason

    def preload(self) -> None:
        """Loads what the pool has to hold and asks each its golden sample, in a process of its own."""
        for key in self.missing(self.wanted()):
            self.load(key)
        self.freeze()
        for key, reason in probe(self.loaded, self._settings.probe_timeout_s).items():
            self.refuse(key, reason)

    def freeze(self) -> None:
        """Keeps the collector from touching, and so copying, the pages that children share."""
        gc.collect()
        gc.freeze()

    def forget(self, wanted: Wanted) -> list[Key]:
        """Drops versions that nothing points to any longer. Those of them that were loaded."""
        gone = [key for key in self._stamps if key not in wanted.keys and key[0] not in wanted.unreadable]
        loaded = [key for key in gone if key in self.loaded]
        for key in gone:
            for held in (self.loaded, self.refused, self.inferred, self._stamps):
                held.pop(key, None)
        return loaded

    def get(self, name: str, version: str) -> Model:
        """In a child. A version that the parent does not hold is loaded here: an older one, or one published a moment ago.

        Raises ModelUnavailable.
        """
        key = (name, version)
        if key not in self.loaded:
            if key in self._unwell:
                self._ask_again(key)
                return self.loaded[key]
            if key in self.refused:
                raise ModelUnavailable(f"{name}@{version} is not served: {self.refused[key]}")
            log.info("loading %s@%s on demand", name, version)
            model = self._load(key)
            model.verify()
            self.loaded[key] = model
        return self.loaded[key]

    def retries(self, name: str, version: str) -> RetryPolicy:
        """The retry policy of a version, where this process holds it."""
        model = self.loaded.get((name, version))
        return model.manifest.retries if model else RetryPolicy()

    def _ask_again(self, key: Key) -> None:
        """A model did not answer its golden sample in this child, though it did elsewhere: what it needs may be there again.

        Raises ModelUnavailable.
        """
        model, asked_at = self._unwell[key]
        if time.monotonic() - asked_at < _ASK_AGAIN_S:
            raise ModelUnavailable(f"{model} is not served: {self.refused[key]}")
        self._unwell[key] = model, time.monotonic()
        model.verify()
        del self._unwell[key], self.refused[key]
        self.loaded[key] = model

    def warm_up(self) -> None:
        """In a child: the first prediction of each model, which makes thread pools and caches."""
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
        one = self._settings
        try:
            return load(self.repository, *key, version_policy=one.version_policy, allow_pickle=one.allow_pickle, device=one.device)
        except FileNotFoundError as error:
            raise ModelUnavailable(f"{'@'.join(key)} was removed while it was loaded ({error.filename} is gone)") from None
