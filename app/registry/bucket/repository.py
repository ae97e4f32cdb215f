"""The repository in a bucket: read from the folder that mirrors it, written by conditional puts."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from app.buckets.objects import Objects
from app.core.bucket_url import BucketURL
from app.core.errors import ModelConflict, ModelNotFound, ModelStoreUnavailable, ModelUnavailable
from app.core.models import Manifest
from app.core.pipelines import Pipeline
from app.registry import aliases, promotions, staging
from app.registry.bucket.cache import Cache, Key
from app.registry.bucket.counting import count
from app.registry.bucket.mirror import Mirror
from app.registry.bucket.record import ALIASES, CATALOG, PIPELINES, Pointers, Record, path_of, uploads_of
from app.registry.pipelines import Pipelines, check
from app.registry.repository import Repository, T, exists

POLL_S: Final = 60.0
"""Age at which the folder is compared with the bucket again without a notification: a listing costs money."""
_TRIES: Final = 20
_ABANDONED: Final = timedelta(days=1)
"""Age of an upload without a record after which its publisher counts as dead."""


class BucketRepository(Repository):
    """A repository whose `root` mirrors a bucket. Reads see the mirror, and `artifact` downloads what is missing.

    Raises ModelStoreUnavailable where the store is needed and does not answer.
    """

    def __init__(self, url: BucketURL, root: Path, max_bytes: int, changed: Callable[[], None] | None = None, objects: Objects | None = None) -> None:  # fmt: skip
        """Mirror the bucket into the folder `root`, with at most `max_bytes` of its files. `changed` is called after each change."""
        super().__init__(root)
        self.url = url
        self.objects = objects or Objects(url)
        self._changed = changed
        self.cache = Cache(root, self.objects, max_bytes)
        self.mirror = Mirror(root, self.objects, self.cache)

    def __str__(self) -> str:
        """Return the address of the bucket."""
        return str(self.url)

    def refresh(self, max_age_s: float = 0.0) -> None:
        """Compare the mirror with the bucket, unless that was done at most `max_age_s` ago."""
        self.mirror.sync(max_age_s)

    def check_writes(self) -> None:
        """Raise ModelStoreUnavailable if the store does not honor conditional writes, or this process may not write."""
        self.objects.probe()

    def is_local(self, name: str, version: str) -> bool:
        """Return whether the files of a version are on this machine, and note that it is used."""
        return self.cache.has((name, version))

    def fetch(self, name: str, version: str) -> None:
        """Download the files of a version that may have been published a moment ago, unless they are on this machine."""
        if self.is_local(name, version):
            return
        try:
            self.folder(name, version)
        except ModelNotFound:
            self.refresh()
            self.folder(name, version)
        count(self.mirror.pull((name, version)))

    def hold(self, key: Key) -> None:
        """Keep the files of a version on this machine until `release`."""
        self.cache.hold(key)

    def release(self, key: Key) -> None:
        """Let the files of a version make room for others."""
        self.cache.release(key)

    def artifact(self, name: str, version: str) -> Path:
        """Return the file that holds the model, downloaded if it is not here."""
        self.fetch(name, version)
        return super().artifact(name, version)

    def examples(self, name: str, version: str) -> list[dict[str, Any]]:
        """Return example rows."""
        self.fetch(name, version)
        return super().examples(name, version)

    def stamp(self, name: str, version: str) -> str:
        """Return a stamp that changes when the version does. Files that are downloaded or dropped do not change it."""
        manifest = self.manifest(name, version)
        return manifest.sha256 if manifest else ""

    def begin(self, name: str, job: str) -> Manifest | None:
        """Begin or retry a job."""
        self.refresh()
        return super().begin(name, job)

    def publish(self, name: str, write: Callable[[Path], Manifest], *, version: str | None = None, job: str = "") -> Manifest:
        """Publish a new version: the files first, and then the record that makes it a version."""
        # Before the work of `write`: a store that does not answer, or a version that exists, is known at once.
        self.refresh()
        return super().publish(name, write, version=version, job=job)

    def remove(self, name: str, version: str) -> None:
        """Remove a version. First it is noted that it goes, so that nobody promotes it meanwhile."""
        self.refresh()
        self.folder(name, version)
        self._edit_pointers(name, lambda home: self._check_removable(home, version), removing=version)
        self._delete(name, version, self.mirror.records(name).get(version))

    def write_pipeline(self, name: str, text: str) -> None:
        """Write the file of a pipeline."""
        self.objects.upload(f"{CATALOG}{PIPELINES}/{name}.yaml", text.encode())
        self._tell()

    def _commit(self, stage: Path, manifest: Manifest, version: str | None, job: str) -> Manifest:
        record = Record.of(stage, secrets.token_hex(8))
        for file in record.files:
            self.objects.upload(record.object_of(manifest.name, file), stage / file.path)
        while True:
            self.refresh()
            # Looked for in the same listing that gives the number: two attempts of a job want the same number, and one gets it.
            if job and (published := self.published(manifest.name, job)):
                self._discard(manifest.name, record)
                return published
            numbered = self._numbered(stage.parent, manifest, version)
            content = replace(record, manifest=numbered.as_dict()).encode()
            if self.objects.create(path_of(manifest.name, numbered.version), content):
                self._tell()
                self._sweep(manifest.name)
                return numbered
            if version is not None:
                self._discard(manifest.name, record)
                raise exists(manifest.name, version)

    def _edit_pointers(self, name: str, edit: Callable[[Path], T], *, removing: str = "", removed: str = "") -> T:
        """Run `edit` on copies of the aliases and promotions, and write them unless somebody else has written: then run it again."""
        path = f"{CATALOG}{name}/{ALIASES}"
        for _ in range(_TRIES):
            stored = self.objects.read(path)
            before = Pointers.parse(name, stored[0]) if stored else Pointers({}, {}, frozenset())
            # After the aliases were read: a version that goes is noted beside them first.
            self.refresh()
            with tempfile.TemporaryDirectory(prefix=staging.PREFIX, dir=self.root) as scratch:
                home = Path(scratch) / name
                home.mkdir()
                staging.write_text(home / aliases.FILE, json.dumps(before.aliases))
                staging.write_text(home / promotions.FILE, json.dumps(before.promotions))
                result = edit(home)
                pointed, requested = ((home / file).read_bytes() for file in (aliases.FILE, promotions.FILE))
            doomed = (before.removing | ({removing} if removing else set())) - {removed}
            after = Pointers(json.loads(pointed), json.loads(requested), doomed)
            if after == before:
                return result
            if self.objects.replace(path, after.encode(), stored[1] if stored else None):
                self._tell()
                return result
        raise ModelConflict(f"The aliases of {name!r} were changed by others {_TRIES} times meanwhile. Read them again, then decide.")

    def _tell(self) -> None:
        """Show a change in the mirror, and notify other processes."""
        with suppress(ModelStoreUnavailable):
            self.refresh()
        if self._changed:
            self._changed()

    def _sweep(self, name: str) -> None:
        """Delete what dead publishers and removals left in the bucket, as far as possible."""
        with suppress(ModelStoreUnavailable, ModelUnavailable):
            records = self.mirror.records(name)
            for version in self.mirror.removing(name):
                self._delete(name, version, records.get(version))
            used = {record.upload for record in records.values()}
            uploads = self.objects.list(uploads_of(name))
            self.objects.delete(file.path for file in uploads if file.age > _ABANDONED and file.path.split("/")[2] not in used)

    def _delete(self, name: str, version: str, record: Record | None) -> None:
        """Delete a version that is noted as going."""
        self.objects.delete([path_of(name, version)])
        if record is not None:
            self._discard(name, record)
        self._edit_pointers(name, lambda home: None, removed=version)

    def _discard(self, name: str, record: Record) -> None:
        self.objects.delete(record.object_of(name, file) for file in record.files)


class BucketPipelines(Pipelines):
    """The pipelines of a bucket, read from its mirror."""

    def __init__(self, repository: BucketRepository) -> None:
        """Use the bucket of a repository."""
        super().__init__(repository.root / PIPELINES)
        self._repository = repository

    def publish(self, name: str, text: str) -> Pipeline:
        """Write a pipeline or replace it."""
        pipeline = check(name, text)
        self._repository.write_pipeline(name, text)
        return pipeline
