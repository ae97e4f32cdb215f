"""Files of versions on this machine: downloaded once for all processes, checked, and dropped when they were not used for long."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.buckets.objects import Objects
from app.core.errors import ModelUnavailable
from app.registry import staging
from app.registry.bucket import locks
from app.registry.bucket.record import Record
from app.registry.contents import MANIFEST

log = logging.getLogger(__name__)
_MARKS: Final = ".pulled"
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Pull:
    """What a download did: its bytes and seconds, the versions that made room, and the bytes of the cache now."""

    bytes: int = 0
    seconds: float = 0.0
    evicted: int = 0
    cached: int = 0


class Cache:
    """The files of versions, in the folder that mirrors the bucket. A mark says that all files of a version are there."""

    def __init__(self, root: Path, objects: Objects, max_bytes: int) -> None:
        """Keep at most `max_bytes` in `root`."""
        self._root = root
        self._objects = objects
        self._max_bytes = max_bytes
        self._held: dict[Key, int] = {}

    def has(self, key: Key) -> bool:
        """Return whether all files of a version are here, and note that it is used."""
        try:
            os.utime(self._mark(key))
        except FileNotFoundError:
            return False
        return True

    def hold(self, key: Key) -> None:
        """Keep the files of a version until `release`."""
        if key not in self._held:
            self._held[key] = locks.use(self._lock(key, "use"))

    def release(self, key: Key) -> None:
        """Let the files of a version make room for others."""
        if (handle := self._held.pop(key, None)) is not None:
            os.close(handle)

    def pull(self, key: Key, record: Record) -> Pull:
        """Download the files of a version, unless they are here.

        Raises:
            ModelUnavailable: An object is damaged, or the cache has no room.
            ModelStoreUnavailable: The store does not answer.
            OSError: The disk is full.
        """
        began = time.monotonic()
        with locks.alone(self._lock(key, "pull")):
            if self.has(key):
                return Pull(cached=self.size())
            with locks.alone(self._root / ".locks" / "room"):
                evicted = self._make_room(key, record.size)
            folder = self._root / key[0] / key[1]
            with staging.folder(folder.parent) as stage:
                for file in record.files:
                    target = stage / file.path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    self._objects.download(record.object_of(key[0], file), target, file.size, file.sha256)
                for file in record.files:
                    target = folder / file.path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    staging.flush(stage / file.path)
                    (stage / file.path).replace(target)
            self._mark(key).parent.mkdir(exist_ok=True)
            staging.write_text(self._mark(key), json.dumps({"bytes": record.size}))
        pull = Pull(record.size, time.monotonic() - began, evicted, self.size())
        log.info("Downloaded: model=%s version=%s bytes=%d seconds=%.3g", *key, pull.bytes, pull.seconds)
        return pull

    def size(self) -> int:
        """Return the bytes of all versions that are here."""
        return sum(size for _, _, size in self._marks())

    def drop(self, key: Key) -> None:
        """Forget a version that does not exist any more. The caller removes its folder."""
        self._mark(key).unlink(missing_ok=True)
        for what in ("use", "pull"):
            self._lock(key, what).unlink(missing_ok=True)

    def _make_room(self, key: Key, size: int) -> int:
        """Drop the files of the versions that were not used for longest. Returns how many. Raises ModelUnavailable if that is not enough."""
        marks = sorted(self._marks())
        total, evicted = sum(bytes for _, _, bytes in marks), 0
        for _, other, bytes in marks:
            if total + size <= self._max_bytes:
                break
            with locks.unused(self._lock(other, "use")) as free:
                if free:
                    self._evict(other)
                    total, evicted = total - bytes, evicted + 1
        if total + size > self._max_bytes:
            raise ModelUnavailable(
                f"{key[0]}@{key[1]} has {size} bytes, and the cache has room for {max(self._max_bytes - total, 0)} beside the versions in use. "
                f"Raise CELERIAC_MODEL_CACHE_BYTES (now {self._max_bytes})."
            )
        return evicted

    def _evict(self, key: Key) -> None:
        self._mark(key).unlink(missing_ok=True)
        for path in (self._root / key[0] / key[1]).glob("*"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != MANIFEST:
                path.unlink(missing_ok=True)
        log.info("Dropped from the cache: model=%s version=%s", *key)

    def _marks(self) -> list[tuple[float, Key, int]]:
        """Return the versions that are here, when each was used last, and their bytes."""
        marks = []
        for path in (self._root / _MARKS).glob("*@*.json"):
            try:
                name, _, version = path.name.removesuffix(".json").partition("@")
                marks.append((path.stat().st_mtime, (name, version), int(json.loads(path.read_text())["bytes"])))
            except (FileNotFoundError, ValueError, KeyError):
                continue
        return marks

    def _mark(self, key: Key) -> Path:
        return self._root / _MARKS / f"{'@'.join(key)}.json"

    def _lock(self, key: Key, what: str) -> Path:
        return self._root / ".locks" / f"{'@'.join(key)}.{what}"
