"""The record of a version in a bucket: its manifest and its files. It is written last, so a version is complete or absent.

catalog/
  digits/1.json             the record of version 1, created once
  digits/aliases.json       the aliases and promotions, replaced only if nobody else has replaced them
  .pipelines/name.yaml      a pipeline
files/
  digits/UPLOAD/…           the files of one upload; publishers of the same version do not share it
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, Self

from app.core.errors import ModelUnavailable
from app.registry import staging
from app.registry.contents import MANIFEST

CATALOG: Final = "catalog/"
PIPELINES: Final = ".pipelines"
ALIASES: Final = "aliases.json"


def path_of(name: str, version: str) -> str:
    """Return the path of the record of a version."""
    return f"{CATALOG}{name}/{version}.json"


def uploads_of(name: str) -> str:
    """Return the prefix of the files of a model."""
    return f"files/{name}/"


@dataclass(frozen=True, slots=True)
class File:
    """A file of a version. `path` is relative to its folder."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Record:
    """A version in the bucket. `upload` names the folder of its objects."""

    manifest: dict[str, Any]
    upload: str
    files: tuple[File, ...]

    @classmethod
    def of(cls, stage: Path, upload: str) -> Self:
        """Return the record of the files in a folder, without their manifest."""
        paths = sorted(path for path in stage.rglob("*") if path.is_file() and path.relative_to(stage).as_posix() != MANIFEST)
        files = (File(path.relative_to(stage).as_posix(), staging.digest(path), path.stat().st_size) for path in paths)
        return cls({}, upload, tuple(files))

    @classmethod
    def parse(cls, which: str, content: bytes) -> Self:
        """Read a record. Raises ModelUnavailable if it is damaged, or if a file would leave the folder of the version."""
        try:
            fields = json.loads(content)
            files = tuple(File(str(path), str(file["sha256"]), int(file["bytes"])) for path, file in fields["files"].items())
            record = cls(dict(fields["manifest"]), str(fields["upload"]), files)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelUnavailable(f"The record of {which} in the bucket is damaged ({error}). Publish the model again.") from None
        for path in (record.upload, *(file.path for file in files)):
            parts = PurePosixPath(path).parts
            if not parts or ".." in parts or path.startswith("/") or "\0" in path or path == MANIFEST:
                raise ModelUnavailable(f"The record of {which} in the bucket names the file {path!r}, which is not allowed.")
        return record

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def object_of(self, name: str, file: File) -> str:
        """Return the path of the object that holds a file of a model."""
        return f"{uploads_of(name)}{self.upload}/{file.path}"

    def encode(self) -> bytes:
        """Return the content of the record."""
        files = {file.path: {"sha256": file.sha256, "bytes": file.size} for file in self.files}
        fields = {"manifest": self.manifest, "upload": self.upload, "files": files}
        return json.dumps(fields, ensure_ascii=False, allow_nan=False).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Pointers:
    """The aliases of a model, the requests to move them, and the versions that are being removed, in one object."""

    aliases: dict[str, Any]
    promotions: dict[str, Any]
    removing: frozenset[str]

    @classmethod
    def parse(cls, name: str, content: bytes) -> Self:
        """Read the object. Raises ModelUnavailable if it is damaged."""
        try:
            fields = json.loads(content)
            return cls(dict(fields["aliases"]), dict(fields["promotions"]), frozenset(map(str, fields["removing"])))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelUnavailable(
                f"The aliases of {name} in the bucket are damaged ({error}). Restore {CATALOG}{name}/{ALIASES}, or delete it and promote again."
            ) from None

    def encode(self) -> bytes:
        """Return the content of the object."""
        fields = {"aliases": self.aliases, "promotions": self.promotions, "removing": sorted(self.removing)}
        return json.dumps(fields, sort_keys=True, indent=1).encode() + b"\n"
