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
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import EllipsisType
from typing import Any, Final

from app.core.errors import CeleriacError, InvalidInput, ModelConflict, ModelNotFound, ModelUnavailable, VersionNotFound
from app.core.models import ALIAS, CODE, FORMATS, NAME, PRODUCTION, VERSION, Manifest, ModelRef
from app.core.promotions import Promotion, PromotionState
from app.registry import aliases, contents, promotions, staging

MANIFEST: Final = contents.MANIFEST
EXAMPLES: Final = contents.EXAMPLES
BARE: Final = "0"
"""Version of an artifact in the model's own folder."""


class Repository:
    """Versions, aliases and promotions of models. Reads take no lock and see only complete versions. Raises OSError if the volume fails."""

    def __init__(self, root: Path) -> None:
        """Use the folder `root`."""
        self.root = root

    def models(self) -> list[str]:
        """Return the names of models with at least one version, sorted."""
        return sorted(path.name for path in _folders(self.root) if NAME.fullmatch(path.name) and self._has_versions(path.name))

    def versions(self, name: str) -> list[str]:
        """Return the versions of a model, oldest first, in numeric order: 9 before 10. Raises ModelNotFound."""
        versions = self._versions(name) if NAME.fullmatch(name) else []
        if not versions:
            hint = f"Models: {', '.join(self.models())}." if self.models() else "The repository is empty: publish a model first."
            raise ModelNotFound(f"Model {name!r} does not exist. {hint}", pointer="/model")
        return versions

    def aliases(self, name: str) -> dict[str, str]:
        """Return alias -> version. Raises ModelUnavailable if the file is broken."""
        return aliases.read(self._home(name))

    def resolve(self, ref: ModelRef) -> str:
        """Return the version that a reference means. A bare name means `production`, or the newest version if that alias is not set.

        Raises ModelNotFound, or VersionNotFound if the version or alias does not exist.
        """
        versions = self.versions(ref.name)
        if ref.version:
            return self._existing(ref.name, ref.version, versions)
        targets = self.aliases(ref.name)
        alias = ref.alias or PRODUCTION
        if alias not in targets and not ref.alias:
            return versions[-1]
        if alias not in targets:
            listed = ", ".join(f"{name} ({version})" for name, version in sorted(targets.items())) or "none"
            detail = f"Model {ref.name!r} has no alias {alias!r}. Aliases: {listed}. Versions: {', '.join(versions)}."
            raise VersionNotFound(detail, pointer="/model")
        if targets[alias] not in versions:
            detail = (
                f"Alias {alias!r} of {ref.name!r} points to the removed version {targets[alias]!r}. Promote one of {', '.join(versions)}."
            )
            raise VersionNotFound(detail, pointer="/model")
        return targets[alias]

    def folder(self, name: str, version: str) -> Path:
        """Return the folder of a version. Raises ModelNotFound, VersionNotFound, or ModelUnavailable if it leads out of the repository."""
        self._existing(name, version, self.versions(name))
        home = self._home(name)
        return self._inside(home / version if (home / version).is_dir() else home)

    def manifest(self, name: str, version: str) -> Manifest | None:
        """Return the manifest, or None for a bare artifact, whose signature shows only when loaded. Raises ModelUnavailable if it is broken."""
        path = self.folder(name, version) / MANIFEST
        if not os.path.lexists(path):
            return None
        try:
            contents.regular_size(path)
            manifest = Manifest.from_dict(contents.read_json(self._inside(path)))
        except FileNotFoundError:
            raise ModelUnavailable(f"{name}@{version}: {MANIFEST} is a link to a file that does not exist") from None
        except ModelUnavailable as error:
            raise ModelUnavailable(f"{name}@{version}: {error.detail}") from None
        except CeleriacError as error:
            where = f" (at {error.pointer})" if isinstance(error, InvalidInput) and error.pointer else ""
            raise ModelUnavailable(f"{name}@{version}: {MANIFEST} is not valid: {error.detail}{where}") from None
        except (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError) as error:
            raise ModelUnavailable(f"{name}@{version}: {MANIFEST} is not valid: {error}") from None
        if manifest.key != (name, version):
            raise ModelUnavailable(f"{name}@{version}: {MANIFEST} is of {'@'.join(manifest.key)}: publish a version, do not copy a folder")
        return manifest

    def artifact(self, name: str, version: str) -> Path:
        """Return the file that holds the model. Raises ModelUnavailable if it is missing or leads out of the repository."""
        folder, manifest = self.folder(name, version), self.manifest(name, version)
        file = manifest.artifact if manifest else _bare(folder) or ""
        if not file or Path(file).name != file:
            raise ModelUnavailable(f"{name}@{version}: the artifact {file!r} must be the name of a file in the folder of {MANIFEST}")
        if not (folder / file).is_file():
            raise ModelUnavailable(f"{name}@{version}: the file {file} does not exist in {folder}")
        return self._inside(folder / file)

    def examples(self, name: str, version: str) -> list[dict[str, Any]]:
        """Return example rows, as `{"input": row or record, "label": the truth}`; empty if the publisher gave none."""
        path = self.folder(name, version) / EXAMPLES
        examples: list[dict[str, Any]] = contents.read_json(self._inside(path)) if path.is_file() else []
        return examples

    def stamp(self, name: str, version: str) -> str:
        """Return a stamp that changes when a file of the version does: a version that could not be served is then tried again."""
        folder = self.folder(name, version)
        files = sorted(path for path in folder.iterdir() if path.name in (MANIFEST, CODE, *FORMATS.values()) and path.is_file())
        return " ".join(f"{path.name}:{path.stat().st_mtime_ns}:{path.stat().st_size}" for path in files)

    def publish(self, name: str, write: Callable[[Path], Manifest], *, version: str | None = None, job: str = "") -> Manifest:
        """Publish a new version atomically. `write` puts the artifact into the empty folder that it gets and returns the manifest.

        Name, version (default: next integer), sha256 and creation time are filled in here.
        A `job` publishes once: a second call returns the version that it has published.
        Raises InvalidInput for a name or version that is not valid, ModelConflict if the version exists.
        """
        if not NAME.fullmatch(name):
            raise InvalidInput(
                f"{name!r} is not a valid model name. Use lowercase letters, digits, - and _, as in breast-cancer.", pointer="/name"
            )
        if version is not None and not VERSION.fullmatch(version):
            raise InvalidInput(f"{version!r} is not a valid version. Versions begin with a digit, as in 3 or 1.2.0.", pointer="/version")
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
                    return self._published(name, job) or self._settle(stage, manifest, version)
        except BaseException:
            _remove_unused(home)
            raise

    def begin(self, name: str, job: str) -> Manifest | None:
        """Begin or retry a job. Deletes files that an earlier attempt left incomplete, and returns the version that it published, if any."""
        staging.remove(self.root / name, f"{job}-")
        _remove_unused(self.root / name)
        return self._published(name, job)

    def _published(self, name: str, job: str) -> Manifest | None:
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

    def promotions(self, name: str) -> dict[str, Promotion]:
        """Return alias -> the request to move it, pending or failed. Raises ModelUnavailable if the file is damaged."""
        return promotions.read(self._home(name))

    def pointers(self, name: str) -> tuple[dict[str, str], dict[str, Promotion]]:
        """Return the aliases and the requests to move them, so that a concurrent move shows in one of the two.

        Read `versions` afterwards: a new request may name a version that has just been published.
        Raises ModelUnavailable if a file is damaged.
        """
        requests = self.promotions(name)  # first: an alias moves before its request is dropped
        return self.aliases(name), requests

    def target(self, name: str, alias: str) -> str | None:
        """Return the version that an alias points to, or will after a pending promotion. Raises ModelUnavailable if a file is damaged."""
        targets, requests = self.pointers(name)
        request = requests.get(alias)
        waits = request is not None and request.state == PromotionState.PENDING and request.before == targets.get(alias)
        return request.version if request and waits else targets.get(alias)

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
        if not ALIAS.fullmatch(alias):
            raise InvalidInput(f"{alias!r} is not a valid alias. Use lowercase letters, digits and -, as in production.", pointer="/alias")
        self.folder(name, version)
        with aliases.alone(self._home(name)):
            # Checked again under the lock, because another process may have removed it.
            self._existing(name, version, self.versions(name))
            yield self._home(name)

    def demote(self, name: str, alias: str, *, expect: str | EllipsisType | None = ...) -> None:
        """Remove an alias, if it is set. Raises ModelNotFound, or ModelConflict if the alias does not point to `expect`."""
        self.versions(name)
        with aliases.alone(self._home(name)):
            aliases.move(self._home(name), alias, None, expect)
            promotions.drop(self._home(name), alias)

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

    def problems(self) -> list[str]:
        """Return a sentence for each folder that is not served and each version that cannot be. Reads no artifact."""
        if not self.root.is_dir():
            return [f"{self.root} is not a folder. Publish a model, or set CELERIAC_MODELS."]
        return list(self._problems())

    def _problems(self) -> Iterator[str]:
        for home in _folders(self.root):
            if not NAME.fullmatch(home.name):
                yield f"{home} is not served: {home.name!r} is not a valid model name (lowercase letters, digits, - and _)"
                continue
            versions = self._versions(home.name)
            for folder in _folders(home):
                if folder.name not in versions:
                    reason = "it does not hold a model" if VERSION.fullmatch(folder.name) else "a version begins with a digit"
                    yield f"{folder} is not served: {reason}"
            try:
                for version in versions:
                    self.artifact(home.name, version)
                promotions.read(home)
                for alias, version in aliases.read(home).items():
                    if version not in versions:
                        yield f"Alias {alias!r} of {home.name!r} points to version {version!r}, which does not exist"
            except (CeleriacError, OSError) as error:
                yield str(error)

    def _home(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise ModelNotFound(f"{name!r} is not a valid model name.", pointer="/model")
        return self.root / name

    def _versions(self, name: str) -> list[str]:
        home = self.root / name
        versions = [
            path.name for path in _folders(home) if VERSION.fullmatch(path.name) and (os.path.lexists(path / MANIFEST) or _bare(path))
        ]
        if _bare(home) and BARE not in versions:
            versions.append(BARE)
        return sorted(versions, key=_natural)

    def _has_versions(self, name: str) -> bool:
        try:
            return bool(self._versions(name))
        except PermissionError:
            # Listed, so that reading it shows the error. One folder must not hide all the others.
            return True

    def _existing(self, name: str, version: str, versions: list[str]) -> str:
        if version not in versions:
            raise VersionNotFound(f"Model {name!r} has no version {version!r}. Versions: {', '.join(versions)}.", pointer="/model")
        return version

    def _inside(self, path: Path) -> Path:
        real = path.resolve()
        if not real.is_relative_to(self.root.resolve()):
            raise ModelUnavailable(f"{path} leads out of the repository, to {real}: replace the link with the files")
        return real

    @staticmethod
    def _next(home: Path) -> str:
        taken = [int(re.match(r"\d+", path.name).group()) for path in _folders(home) if VERSION.fullmatch(path.name)]  # type: ignore[union-attr]
        return str(max(taken, default=0) + 1)


def _folders(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    with os.scandir(path) as entries:
        return sorted(Path(entry) for entry in entries if _is_folder(entry) and not entry.name.startswith("."))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # Unlike `Path`, an entry raises OSError for a link that leads back to itself. Such a link must not hide all models.
    return Path(entry).is_dir() if entry.is_symlink() else entry.is_dir()


def _remove_unused(home: Path) -> None:
    """Delete the folder of a model whose first publication failed."""
    with suppress(OSError):
        # An empty folder, or one with nothing but the lock.
        if all(entry.name == aliases.LOCK for entry in home.iterdir()):
            (home / aliases.LOCK).unlink(missing_ok=True)
            home.rmdir()


def _bare(folder: Path) -> str | None:
    return next((file for file in FORMATS.values() if (folder / file).exists()), None)


def _natural(version: str) -> list[int | str]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", version)]


def _exists(name: str, version: str) -> ModelConflict:
    return ModelConflict(f"{name}@{version} exists already, and a version never changes. Publish another version.", pointer="/version")
