"""The folder of this machine that shows the bucket as a repository: manifests and aliases now, other files once they are needed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from app.buckets.objects import Objects
from app.core.errors import ModelUnavailable, VersionNotFound
from app.core.models import NAME, VERSION
from app.registry import aliases, promotions, staging
from app.registry.bucket import locks
from app.registry.bucket.cache import Cache, Key, Pull
from app.registry.bucket.record import ALIASES, CATALOG, PIPELINES, Pointers, Record
from app.registry.contents import MANIFEST

_STATE: Final = ".catalog.json"
_RECORDS: Final = ".records"
_TRIES: Final = 5
_AT_ONCE: Final = 16


class Mirror:
    """A folder in the layout of a repository. Several processes may share it."""

    def __init__(self, root: Path, objects: Objects, cache: Cache) -> None:
        """Mirror the objects into `root`."""
        self._root = root
        self._objects = objects
        self._cache = cache

    @property
    def age_s(self) -> float:
        """Seconds since the folder was last compared with the bucket; infinite if it never was."""
        try:
            return max(0.0, time.time() - (self._root / _STATE).stat().st_mtime)
        except FileNotFoundError:
            return float("inf")

    def sync(self, max_age_s: float = 0.0) -> None:
        """Compare the folder with the bucket, unless that was done at most `max_age_s` ago, and take over what has changed."""
        with locks.alone(self._root / ".locks" / "sync"):
            if max_age_s and self.age_s <= max_age_s:
                return
            tags = {path: tag for path, tag in self._read_state().items() if (self._root / _RECORDS / path).is_file()}
            listed = self._fetch(tags)
            names = {path.split("/")[0] for path in (*listed, *tags)}
            for name in sorted(name for name in names if NAME.fullmatch(name)):
                self._show(name, {path for path in listed if tags.get(path) != listed[path]}, listed)
            self._show_pipelines(listed)
            for path in tags.keys() - listed.keys():
                (self._root / _RECORDS / path).unlink(missing_ok=True)
            staging.write_text(self._root / _STATE, json.dumps(listed))

    def pull(self, key: Key) -> Pull:
        """Download the files of a version. Raises the errors of `Cache.pull`, and VersionNotFound if its record is not here."""
        try:
            content = (self._root / _RECORDS / key[0] / f"{key[1]}.json").read_bytes()
        except FileNotFoundError:
            raise VersionNotFound(f"Model {key[0]!r} has no version {key[1]!r} in {self._objects.url}.", pointer="/model") from None
        return self._cache.pull(key, Record.parse("@".join(key), content))

    def records(self, name: str) -> dict[str, Record]:
        """Return version -> record of a model, also of versions that are being removed. Raises ModelUnavailable if one is damaged."""
        paths = [path for path in (self._root / _RECORDS / name).glob("*.json") if path.name != ALIASES]
        return {path.stem: Record.parse(f"{name}@{path.stem}", path.read_bytes()) for path in paths}

    def removing(self, name: str) -> frozenset[str]:
        """Return the versions of a model that are being removed."""
        try:
            return Pointers.parse(name, (self._root / _RECORDS / name / ALIASES).read_bytes()).removing
        except FileNotFoundError:
            return frozenset()

    def _fetch(self, tags: dict[str, str]) -> dict[str, str]:
        """Download the records that are new or have changed. Returns the tag of each record, all as of one time."""
        fetched = dict(tags)
        for _ in range(_TRIES):
            listed = {entry.path.removeprefix(CATALOG): entry.tag for entry in self._objects.list(CATALOG)}
            listed = {path: tag for path, tag in listed.items() if _is_ours(path)}
            changed = [path for path, tag in listed.items() if fetched.get(path) != tag]
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                fetched |= {path: tag for path, tag in zip(changed, pool.map(self._download, changed), strict=True) if tag}
            # An alias that moved after the listing may lead to a version that is not in it.
            if all(fetched.get(path) == tag for path, tag in listed.items()):
                break
        return {path: fetched[path] for path in listed if path in fetched}

    def _download(self, path: str) -> str:
        """Download a record and return its tag, or an empty string if it was removed."""
        answer = self._objects.read(f"{CATALOG}{path}")
        if answer is None:
            return ""
        target = self._root / _RECORDS / path
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.write_text(target, answer[0].decode(errors="replace"))
        return answer[1]

    def _show(self, name: str, changed: Iterable[str], listed: dict[str, str]) -> None:
        """Show a model. Versions appear before the aliases that lead to them, and disappear after them."""
        home, records = self._root / name, self._root / _RECORDS / name
        versions = {path.split("/")[1].removesuffix(".json") for path in listed if path.startswith(f"{name}/")} - {"aliases"}
        pointers: Pointers | None = None
        damaged = ""
        if f"{name}/{ALIASES}" in listed:
            content = (records / ALIASES).read_bytes()
            try:
                pointers = Pointers.parse(name, content)
                versions -= pointers.removing
            except ModelUnavailable:
                damaged = content.decode(errors="replace")
        for version in versions:
            folder = home / version
            if f"{name}/{version}.json" in changed:
                self._drop((name, version))
            if not folder.exists():
                home.mkdir(parents=True, exist_ok=True)
                self._show_version(folder, (records / f"{version}.json").read_bytes())
        if pointers or damaged:
            _replace(home / aliases.FILE, json.dumps(pointers.aliases, sort_keys=True) if pointers else damaged)
            _replace(home / promotions.FILE, json.dumps(pointers.promotions, sort_keys=True) if pointers else "{}")
        else:
            (home / aliases.FILE).unlink(missing_ok=True)
            (home / promotions.FILE).unlink(missing_ok=True)
        for folder in home.glob("[0-9]*"):
            if folder.name not in versions:
                self._drop((name, folder.name))
        if not versions and home.is_dir() and not any(home.iterdir()):
            home.rmdir()

    def _show_version(self, folder: Path, content: bytes) -> None:
        with staging.folder(folder.parent) as stage:
            try:
                manifest = Record.parse(f"{folder.parent.name}@{folder.name}", content).manifest
                text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
            except ModelUnavailable:
                # A reader of the manifest sees that it is damaged.
                text = content.decode(errors="replace")
            (stage / MANIFEST).write_text(text)
            staging.settle(stage, folder)

    def _show_pipelines(self, listed: dict[str, str]) -> None:
        home, records = self._root / PIPELINES, self._root / _RECORDS / PIPELINES
        names = {path.split("/")[1] for path in listed if path.startswith(f"{PIPELINES}/")}
        home.mkdir(parents=True, exist_ok=True)
        for name in names:
            _replace(home / name, (records / name).read_text())
        for path in home.glob("*.yaml"):
            if path.name not in names:
                path.unlink(missing_ok=True)

    def _drop(self, key: Key) -> None:
        folder = self._root / key[0] / key[1]
        self._cache.drop(key)
        if folder.is_dir():
            staging.discard(staging.put_aside(folder))

    def _read_state(self) -> dict[str, str]:
        try:
            return dict(json.loads((self._root / _STATE).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return {}


def _is_ours(path: str) -> bool:
    """Whether a path of the catalog is one that Celeriac writes. Others are ignored: a path must not lead out of the folder."""
    home, _, file = path.partition("/")
    if home == PIPELINES:
        return file.endswith(".yaml") and bool(NAME.fullmatch(file.removesuffix(".yaml")))
    named = file.removesuffix(".json")
    return bool(NAME.fullmatch(home)) and (file == ALIASES or (file.endswith(".json") and bool(VERSION.fullmatch(named))))


def _replace(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        staging.write_text(path, text)
