"""Model repository: a folder that every process mounts.

models/
  digits/
    1/ model.json model.skops [examples.json]    a version: immutable, and complete or absent
    2/ model.json model.py weights.npz …         a version that is code
    3/ model.json model.onnx model.onnx.data     a graph with weights in the same folder
    aliases.json                                 {"production": "1"}
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import EllipsisType

from app.core.errors import ModelConflict, ModelUnavailable
from app.core.models import VERSION, Manifest, check_alias, check_name, check_version
from app.core.promotions import Promotion, PromotionState
from app.registry import aliases, contents, promotions, staging
from app.registry.contents import MANIFEST
from app.registry.reading import ReadableRepository, folders


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
            raise _exists(name, version)
        try:
            with staging.folder(home, f"{job}-" if job else "") as stage:
                manifest = replace(write(stage), name=name, sha256="")
                manifest = replace(manifest, sha256=contents.digest(stage, manifest))
                if not job:
                    return self._settle(stage, manifest, version)
                with aliases.alone(home):
                    return self.published(name, job) or self._settle(stage, manifest, version)
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

    def _settle(self, stage: Path, manifest: Manifest, version: str | None) -> Manifest:
        home = stage.parent
        while True:
            # Numbered last: another publisher may have taken the number while the artifact was written.
            now = datetime.now(UTC).isoformat(timespec="seconds")
            numbered = replace(manifest, version=version or self._next(home), created_at=now)
            (stage / MANIFEST).write_text(json.dumps(numbered.as_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
            if staging.settle(stage, home / numbered.version):
                return numbered
            if version is not None:
                raise _exists(manifest.name, version)

    def promote(self, name: str, alias: str, version: str, *, expect: str | EllipsisType | None = ...) -> None:
        """Point an alias to a version; with `expect`, only if it still points to that (None: only if it is not set).

        Moves the alias at once. Use `request_promotion` to move it after a worker serves the version.
        Raises VersionNotFound, InvalidInput for an alias that is not valid, ModelConflict if the alias does not point to `expect`.
        """
        with self._moving(name, alias, version) as home:
            aliases.move(home, alias, version, expect)
            promotions.drop(home, alias)

    def request_promotion(self, name: str, alias: str, version: str, *, expect: str | EllipsisType | None = ...) -> Promotion:
        """Ask that an alias point to a version as soon as a worker serves it. Until then the alias stays.

        The first version of a model has no earlier one to protect, so its alias moves at once. With `expect`, the request is made only if
        the alias points there, or would after an earlier request. Returns the request; its state is `served` if nothing had to be decided.
        Raises VersionNotFound, InvalidInput for an alias that is not valid, ModelConflict if the alias does not point to `expect`.
        """
        with self._moving(name, alias, version) as home:
            target, versions = self.target(name, alias), self.versions(name)
            if expect is not ... and target != expect:
                detail = f"Alias {alias!r} of {name!r} points to {target}, not to {expect}. Read it again, then decide."
                raise ModelConflict(detail, pointer="/alias")
            settled = aliases.read(home).get(alias)
            if settled is None and versions == [version]:
                aliases.move(home, alias, version, ...)
                settled = version
            if settled == version:
                promotions.drop(home, alias)
                return Promotion("", alias, version, settled, state=str(PromotionState.SERVED))
            return promotions.request(home, alias, version)

    def settle(self, name: str, promotion: Promotion, reason: str = "") -> None:
        """End a promotion: the alias moves, or with a `reason` the promotion has failed. A later decision is left alone."""
        with aliases.alone(self._home(name)):
            if reason:
                promotions.fail(self._home(name), promotion, reason)
            else:
                promotions.settle(self._home(name), promotion)

    @contextmanager
    def _moving(self, name: str, alias: str, version: str) -> Iterator[Path]:
        """Yield the folder of a model and keep other processes from moving its aliases and removing its versions."""
        check_alias(alias)
        self.folder(name, version)
        with aliases.alone(self._home(name)):
            # Checked again under the lock, because another process may have removed it.
            self._existing(name, version, self.versions(name))
            yield self._home(name)

    def remove(self, name: str, version: str) -> None:
        """Remove a version atomically. Processes that have its files open can still read them.

        Raises VersionNotFound, or ModelConflict if an alias points to it, or if it is the newest version or a bare artifact.
        """
        self.folder(name, version)
        home = self._home(name)
        with aliases.alone(home):
            versions = self.versions(name)
            self._existing(name, version, versions)
            pointing = [alias for alias, target in self.aliases(name).items() if target == version]
            if pointing:
                raise ModelConflict(f"{name}@{version} is {pointing[0]!r}. Promote another version to that alias first.")
            waiting = [alias for alias in self.promotions(name) if self.target(name, alias) == version]
            if waiting:
                detail = (
                    f"{name}@{version} waits to become {waiting[0]!r}. Wait until a worker serves it, or promote another version first."
                )
                raise ModelConflict(detail)
            if version == versions[-1]:
                raise ModelConflict(f"{name}@{version} is the newest version, which cannot be removed. Publish another version first.")
            if not (home / version).is_dir():
                raise ModelConflict(f"{name}@{version} is a bare artifact in the model's own folder. Delete the file by hand.")
            gone = staging.put_aside(home / version)
        staging.discard(gone)

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


def _exists(name: str, version: str) -> ModelConflict:
    return ModelConflict(f"{name}@{version} exists already, and a version never changes. Publish another version.", pointer="/version")
