"""Model repository: a folder that every process mounts.

models/
  digits/
    1/ model.json model.skops [examples.json]    a version: immutable, and complete or absent
    2/ model.json model.py weights.npz …         a version that is code
    3/ model.json model.onnx model.onnx.data     a graph with weights in the same folder
    aliases.json                                 {"production": "1"}, or with a canary {"production": {"version": "1", "canary": {…}}}
    promotions.json                              requests to move an alias, until a worker serves the version
    .staging-…/                                  incomplete, not read
  churn/
    model.joblib                                 a bare artifact, as KServe and MLServer take it: version 0
  fraud/
    MLmodel model.pkl …                          the same, as MLflow saves it
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import EllipsisType
from typing import TypeVar

from app.core.errors import ModelConflict, ModelUnavailable
from app.core.models import VERSION, Manifest, check_alias, check_name, check_version
from app.core.promotions import Promotion, PromotionState
from app.core.routes import Route
from app.registry import aliases, contents, promotions, staging
from app.registry.contents import MANIFEST
from app.registry.reading import ReadableRepository, folders

T = TypeVar("T")


class Repository(ReadableRepository):
    """A repository to publish versions in, to move aliases and to remove versions."""

    def publish(self, name: str, write: Callable[[Path], Manifest], *, version: str | None = None, job: str = "") -> Manifest:
        """Publish a new version atomically. `write` puts the artifact into the empty folder that it gets and returns the manifest.

        Name, version (default: next integer), sha256 and creation time are filled in here.
        A `job` publishes once: a second call returns the version that it has published.
        Raises InvalidInput for a name or version that is not valid, ModelConflict if the version exists.
        """
        check_name(name)
        if version is not None:
            check_version(version)
        home = self.root / name
        home.mkdir(parents=True, exist_ok=True)
        self._inside(home)
        if version is not None and (home / version).exists():
            raise exists(name, version)
        try:
            with staging.folder(home, f"{job}-" if job else "") as stage:
                manifest = replace(write(stage), name=name, sha256="")
                return self._commit(stage, replace(manifest, sha256=contents.digest(stage, manifest)), version, job)
        except BaseException:
            _remove_unused(home)
            raise

    def begin(self, name: str, job: str) -> Manifest | None:
        """Begin or retry a job. Deletes files that an earlier attempt left incomplete, and returns the version that it published, if any."""
        staging.remove(self.root / name, f"{job}-")
        _remove_unused(self.root / name)
        return self.published(name, job)

    def published(self, name: str, job: str) -> Manifest | None:
        """Return the version that a job has published, or None."""
        for version in reversed(self._versions(name)):
            try:
                manifest = self.manifest(name, version)
            except ModelUnavailable:
                continue
            if manifest is not None and manifest.provenance.get("job") == job:
                return manifest
        return None

    def _commit(self, stage: Path, manifest: Manifest, version: str | None, job: str) -> Manifest:
        """Publish a staged version, unless the job has published one. Raises ModelConflict if the version exists."""
        if not job:
            return self._settle(stage, manifest, version)
        with aliases.alone(stage.parent):
            return self.published(manifest.name, job) or self._settle(stage, manifest, version)

    def _settle(self, stage: Path, manifest: Manifest, version: str | None) -> Manifest:
        home = stage.parent
        while True:
            # Numbered last: another publisher may have taken the number while the artifact was written.
            numbered = self._numbered(home, manifest, version)
            (stage / MANIFEST).write_text(json.dumps(numbered.as_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
            if staging.settle(stage, home / numbered.version):
                return numbered
            if version is not None:
                raise exists(manifest.name, version)

    def promote(self, name: str, alias: str, version: str, *, expect: str | EllipsisType | None = ...) -> None:
        """Point an alias to a version; with `expect`, only if it still points to that (None: only if it is not set).

        Moves the alias at once. Use `request_promotion` to move it after a worker serves the version.
        Raises VersionNotFound, InvalidInput for an alias that is not valid, ModelConflict if the alias does not point to `expect`.
        """

        def edit(home: Path) -> None:
            aliases.move(home, alias, version, expect)
            promotions.drop(home, alias)

        self._move(name, alias, version, edit)

    def request_promotion(self, name: str, alias: str, version: str, *, expect: str | EllipsisType | None = ...) -> Promotion:
        """Ask that an alias point to a version as soon as a worker serves it. Until then the alias stays.

        The first version of a model has no earlier one to protect, so its alias moves at once. With `expect`, the request is made only if
        the alias points there, or would after an earlier request. Returns the request; its state is `served` if nothing had to be decided.
        Raises VersionNotFound, InvalidInput for an alias that is not valid, ModelConflict if the alias does not point to `expect`.
        """

        def edit(home: Path) -> Promotion:
            target = promotions.target(home, alias)
            if expect is not ... and target != expect:
                detail = f"Alias {alias!r} of {name!r} points to {target}, not to {expect}. Read it again, then decide."
                raise ModelConflict(detail, pointer="/alias")
            settled = aliases.read(home).get(alias)
            if settled is None and self.versions(name) == [version]:
                aliases.move(home, alias, version, ...)
                settled = version
            if settled == version:
                promotions.drop(home, alias)
                return Promotion("", alias, version, settled, state=str(PromotionState.SERVED))
            return promotions.request(home, alias, version)

        return self._move(name, alias, version, edit)

    def reroute(self, name: str, alias: str, expect: Route, route: Route) -> None:
        """Give an alias another canary or shadow. Raises VersionNotFound, or ModelConflict if the alias does not lead to `expect` any more."""

        def edit(home: Path) -> None:
            aliases.reroute(home, alias, expect, route)

        self._move(name, alias, route.versions[-1], edit)

    def settle(self, name: str, promotion: Promotion, reason: str = "") -> None:
        """End a promotion: the alias moves, or with a `reason` the promotion has failed. A later decision is left alone."""

        def edit(home: Path) -> None:
            if reason:
                promotions.fail(home, promotion, reason)
            else:
                promotions.settle(home, promotion)

        self._edit_pointers(name, edit)

    def remove(self, name: str, version: str) -> None:
        """Remove a version atomically. Processes that have its files open can still read them.

        Raises VersionNotFound, or ModelConflict if an alias points to it, or if it is the newest version or a bare artifact.
        """
        self.folder(name, version)

        def edit(home: Path) -> Path:
            self._check_removable(home, version)
            return staging.put_aside(home / version)

        staging.discard(self._edit_pointers(name, edit))

    def _move(self, name: str, alias: str, version: str, edit: Callable[[Path], T]) -> T:
        """Change the aliases of a model if the version exists."""
        check_alias(alias)
        self.refresh()
        self.folder(name, version)

        def checked(home: Path) -> T:
            # Checked again, because another process may have removed it.
            self._existing(name, version, self.versions(name))
            return edit(home)

        return self._edit_pointers(name, checked)

    def _edit_pointers(self, name: str, edit: Callable[[Path], T]) -> T:
        """Return what `edit` returns. It changes the aliases and promotions in the folder that it gets; no other process changes them."""
        home = self._home(name)
        with aliases.alone(home):
            return edit(home)

    def _check_removable(self, home: Path, version: str) -> None:
        """Raise VersionNotFound or ModelConflict if a version must stay. `home` holds the aliases and promotions."""
        name, routes = home.name, aliases.routes(home)
        versions = self.versions(name)
        self._existing(name, version, versions)
        pointing = [alias for alias, route in routes.items() if route.version == version]
        if pointing:
            raise ModelConflict(f"{name}@{version} is {pointing[0]!r}. Promote another version to that alias first.")
        on_trial = [alias for alias, route in routes.items() if version in route.versions]
        if on_trial:
            raise ModelConflict(f"{name}@{version} is the canary or the shadow of {on_trial[0]!r}. Take it back first.")
        waiting = [alias for alias in promotions.read(home) if promotions.target(home, alias) == version]
        if waiting:
            detail = f"{name}@{version} waits to become {waiting[0]!r}. Wait until a worker serves it, or promote another version first."
            raise ModelConflict(detail)
        if version == versions[-1]:
            raise ModelConflict(f"{name}@{version} is the newest version, which cannot be removed. Publish another version first.")
        if not (self._home(name) / version).is_dir():
            raise ModelConflict(f"{name}@{version} is a bare artifact in the model's own folder. Delete the file by hand.")

    def _numbered(self, home: Path, manifest: Manifest, version: str | None) -> Manifest:
        """Return the manifest with its version, by default the next integer, and the current time."""
        return replace(manifest, version=version or self._next(home), created_at=datetime.now(UTC).isoformat(timespec="seconds"))

    @staticmethod
    def _next(home: Path) -> str:
        taken = [int(re.match(r"\d+", path.name).group()) for path in folders(home) if VERSION.fullmatch(path.name)]  # type: ignore[union-attr]
        return str(max(taken, default=0) + 1)


def _remove_unused(home: Path) -> None:
    """Delete the folder of a model whose first publication failed."""
    with suppress(OSError):
        # An empty folder, or one with nothing but the lock.
        if all(entry.name == aliases.LOCK for entry in home.iterdir()):
            (home / aliases.LOCK).unlink(missing_ok=True)
            home.rmdir()


def exists(name: str, version: str) -> ModelConflict:
    """Return the error for a version that is published already."""
    return ModelConflict(f"{name}@{version} exists already, and a version never changes. Publish another version.", pointer="/version")
