"""Which release uses the key prefix in Redis.

Two releases with different models under one prefix take each other's jobs, and fail those whose model they do not have. So the
first one leaves a record in Redis, and one that provably differs is refused. Releases are the same if they have the same name
(the setting `release`) or the same models folder, which is recognized by a file with an id.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

import orjson
import redis
from redis.exceptions import OutOfMemoryError

from app.settings import Settings
from app.store import keys

ID_FILE: Final = ".repository-id"


@dataclass(frozen=True, slots=True)
class Release:
    """`models` is the id of the models folder, or empty if it has none and cannot be written; of a bucket it is the address."""

    name: str
    models: str
    folder: str
    host: str

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The release of this process. Writes the id of the models folder if it has none."""
        address = settings.models_address
        models = folder_id(settings.models) if isinstance(settings.models, Path) else address
        return cls(settings.release, models, address, socket.gethostname())

    def __str__(self) -> str:
        """Return a description for messages."""
        name = f"release {self.name!r}" if self.name else f"a release on {self.host}"
        return f"{name} with the models folder {self.folder} (id {self.models or 'unknown'})"

    def differs(self, other: Release) -> bool:
        """Whether the two provably are not the same release."""
        if self.name and self.name == other.name:
            return False
        if self.models and other.models:
            return self.models != other.models or self._is_copy(other)
        return bool(self.name and other.name)

    def _is_copy(self, other: Release) -> bool:
        """Whether two folders of this machine have the same id only because one was copied from the other."""
        if self.host != other.host or self.folder == other.folder:
            return False
        try:
            return not Path(self.folder).samefile(other.folder)
        except OSError:
            return False


def folder_id(folder: Path) -> str:
    """The id of a models folder, the same for every process that mounts it."""
    path = folder / ID_FILE
    try:
        if not path.exists():
            draft = folder / f"{ID_FILE}-{uuid.uuid4()}"
            draft.write_text(f"{uuid.uuid4()}\n")
            try:
                # Of several processes that start at once, the first one decides.
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text().strip()
    except OSError:
        return ""


def conflict(client: redis.Redis, release: Release, *, takeover: bool) -> str:
    """Record `release` as the user of the key prefix. Return why it must not use the prefix, or an empty string.

    Raises RedisError.
    """
    if not (release.name or release.models):
        return ""
    mine = orjson.dumps(asdict(release) | {"since": time.time()})
    recorded = client.get(keys.RELEASE)
    try:
        if recorded is None and client.set(keys.RELEASE, mine, nx=True):
            return ""
        recorded = recorded or client.get(keys.RELEASE)
        other = _decode(recorded)
        if other is None or takeover or _knows_more(release, other):
            client.set(keys.RELEASE, mine)
            return ""
    except OutOfMemoryError:
        # The next process records it, when there is room again.
        return ""
    if not release.differs(other):
        return ""
    return (
        f"The key prefix {keys.PREFIX!r} is used by {other}, but this is {release}. "
        "Both would take each other's jobs. Give each its own CELERIAC_KEY_PREFIX (in the chart: redis.keyPrefix). "
        "If the other one has gone for good, set CELERIAC_KEY_PREFIX_TAKEOVER=true once"
    )


def _knows_more(release: Release, other: Release) -> bool:
    """Whether the record is of the same release and lacks something, or names a models folder that was replaced."""
    return not release.differs(other) and bool(
        (release.models and release.models != other.models) or (release.name and release.name != other.name and not other.name)
    )


def _decode(recorded: object) -> Release | None:
    """The recorded release, or None for a record that cannot be read."""
    try:
        fields = orjson.loads(recorded)  # type: ignore[arg-type]
        return Release(*(str(fields[name]) for name in ("name", "models", "folder", "host")))
    except (ValueError, TypeError, KeyError):
        return None
