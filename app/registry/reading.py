"""Reading of a model repository: models, versions, aliases and the requests to move them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from app.core.errors import CeleriacError, InvalidInput, ModelNotFound, ModelUnavailable, VersionNotFound
from app.core.models import CODE, FORMATS, MLMODEL, NAME, PRODUCTION, VERSION, Manifest, ModelRef
from app.core.promotions import Promotion
from app.core.routes import Route
from app.registry import aliases, contents, promotions
from app.registry.contents import EXAMPLES, MANIFEST

BARE: Final = "0"
"""Version of an artifact in the model's own folder."""
_STAMPED: Final = frozenset({MANIFEST, CODE, *FORMATS.values()})


class ReadableRepository:
    """Versions, aliases and promotions of models. Reads take no lock and see only complete versions. Raises OSError if the volume fails."""

    def __init__(self, root: Path) -> None:
        """Use the folder `root`."""
        self.root = root

    def __str__(self) -> str:
        """Return the place of the repository, for messages."""
        return str(self.root)

    def refresh(self, max_age_s: float = 0.0) -> None:
        """Take over what other machines have changed. A folder that is mounted shows it already."""

    def check_writes(self) -> None:
        """Raise ModelStoreUnavailable if the place of the repository would let publishers overwrite each other."""

    def is_local(self, name: str, version: str) -> bool:
        """Return whether the files of a version can be read without a download."""
        return True

    def fetch(self, name: str, version: str) -> None:
        """Make the files of a version readable here."""

    def hold(self, key: tuple[str, str]) -> None:
        """Keep the files of a version on this machine until `release`."""

    def release(self, key: tuple[str, str]) -> None:
        """Let the files of a version make room for others."""

    def models(self) -> list[str]:
        """Return the names of models with at least one version, sorted."""
        return [name for name in _folder_names(self.root) if NAME.fullmatch(name) and self._has_versions(name)]

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

    def routes(self, name: str) -> dict[str, Route]:
        """Return alias -> where it leads. Raises ModelUnavailable if the file is broken."""
        return aliases.routes(self._home(name))

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
        return self._inside(self._located(name, version))

    def manifest(self, name: str, version: str) -> Manifest | None:
        """Return the manifest, or None for a bare artifact, whose signature shows only when loaded. Raises ModelUnavailable if it is broken."""
        path = self.folder(name, version) / MANIFEST
        if not os.path.lexists(path):
            return None
        try:
            contents.regular_size(path)
            manifest = Manifest.from_dict(contents.read_json(self._inside(path)))
        except FileNotFoundError:
            raise ModelUnavailable(f"{name}@{version}: {MANIFEST} is a link to a file that does not exist.") from None
        except ModelUnavailable as error:
            raise ModelUnavailable(f"{name}@{version}: {error.detail}") from None
        except CeleriacError as error:
            where = f" (at {error.pointer})" if isinstance(error, InvalidInput) and error.pointer else ""
            raise ModelUnavailable(f"{name}@{version}: {MANIFEST} is not valid: {error.detail}{where}") from None
        except (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError) as error:
            raise ModelUnavailable(f"{name}@{version}: {MANIFEST} is not valid: {error}") from None
        if manifest.key != (name, version):
            raise ModelUnavailable(f"{name}@{version}: {MANIFEST} is of {'@'.join(manifest.key)}. Publish a version, do not copy a folder.")
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
        folder = self._located(name, version)
        if folder.is_symlink() or self._home(name).is_symlink():
            self._inside(folder)
        with os.scandir(folder) as entries:
            files = {entry.name: entry for entry in entries if Path(entry).is_file()}
        # An MLmodel may name any of them.
        names = files.keys() if MLMODEL in files else files.keys() & _STAMPED
        stats = {name: files[name].stat() for name in names}
        return " ".join(f"{file}:{stats[file].st_mtime_ns}:{stats[file].st_size}" for file in sorted(stats))

    def promotions(self, name: str) -> dict[str, Promotion]:
        """Return alias -> the request to move it, pending or failed. Raises ModelUnavailable if the file is damaged."""
        return promotions.read(self._home(name))

    def pointers(self, name: str) -> tuple[dict[str, Route], dict[str, Promotion]]:
        """Return the aliases and the requests to move them, so that a concurrent move shows in one of the two.

        Read `versions` afterwards: a new request may name a version that has just been published.
        Raises ModelUnavailable if a file is damaged.
        """
        return promotions.pointers(self._home(name))

    def target(self, name: str, alias: str) -> str | None:
        """Return the version that an alias points to, or will after a pending promotion. Raises ModelUnavailable if a file is damaged."""
        return promotions.target(self._home(name), alias)

    def problems(self) -> list[str]:
        """Return a sentence for each folder that is not served and each version that cannot be. Reads no artifact."""
        if not self.root.is_dir():
            return [f"{self.root} is not a folder. Publish a model, or set CELERIAC_MODELS."]
        return list(self._problems())

    def _problems(self) -> Iterator[str]:
        for home in folders(self.root):
            if not NAME.fullmatch(home.name):
                yield f"{home} is not served: {home.name!r} is not a valid model name (lowercase letters, digits, - and _)"
                continue
            versions = self._versions(home.name)
            for folder in folders(home):
                if folder.name not in versions:
                    reason = "it does not hold a model" if VERSION.fullmatch(folder.name) else "a version begins with a digit"
                    yield f"{folder} is not served: {reason}"
            try:
                for version in versions:
                    self.artifact(home.name, version)
                promotions.read(home)
                for alias, route in aliases.routes(home).items():
                    if route.version not in versions:
                        yield f"Alias {alias!r} of {home.name!r} points to version {route.version!r}, which does not exist"
                    for version in route.versions[1:]:
                        if version not in versions:
                            yield f"The canary or shadow of alias {alias!r} of {home.name!r} is version {version!r}, which does not exist"
            except (CeleriacError, OSError) as error:
                yield str(error)

    def _home(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise ModelNotFound(f"{name!r} is not a valid model name.", pointer="/model")
        return self.root / name

    def _located(self, name: str, version: str) -> Path:
        """Return the folder of a version, which may be a link. Raises ModelNotFound or VersionNotFound."""
        home = self._home(name)
        folder = home / version
        # Workers call this often. The other versions are listed only for the error.
        if VERSION.fullmatch(version) and _has_model(folder):
            return folder
        self._existing(name, version, self.versions(name))
        return folder if folder.is_dir() else home

    def _versions(self, name: str) -> list[str]:
        home = self.root / name
        versions = [version for version in _folder_names(home) if VERSION.fullmatch(version) and _has_model(f"{home}/{version}")]
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
            raise ModelUnavailable(f"{path} leads out of the repository, to {real}. Replace the link with the files.")
        return real


def folders(path: Path) -> list[Path]:
    """Return the folders in a folder, by name; none if it does not exist."""
    return [path / name for name in _folder_names(path)]


def _folder_names(path: Path) -> list[str]:
    if not path.is_dir():
        return []
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if _is_folder(entry) and not entry.name.startswith("."))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # Unlike `Path`, an entry raises OSError for a link that leads back to itself. Such a link must not hide all models.
    return Path(entry).is_dir() if entry.is_symlink() else entry.is_dir()


def _has_model(folder: str | Path) -> bool:
    return os.path.lexists(f"{folder}/{MANIFEST}") or _bare(folder) is not None


def _bare(folder: str | Path) -> str | None:
    # Every scan asks this for every version, and a Path costs more than the answer.
    return next((file for file in (MLMODEL, *FORMATS.values()) if os.path.exists(f"{folder}/{file}")), None)  # noqa: PTH110


def _natural(version: str) -> list[int | str]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", version)]
