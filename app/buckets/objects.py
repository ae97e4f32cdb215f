"""The objects of a bucket: conditional writes, checked reads, and errors that say what to do."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import ObjectStore, from_url
from typing_extensions import Buffer

from app import metrics
from app.core.bucket_url import BucketURL
from app.core.errors import CeleriacError, ModelStoreUnavailable, ModelUnavailable

if TYPE_CHECKING:
    from obstore import WritableFile

_OPTIONS: Final[Any] = {"connect_timeout": "5s", "timeout": "60s", "allow_http": True}
"""The endpoint that the environment names decides about TLS."""
_RETRIES: Final[Any] = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=20),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=3), "base": 2},
}
_BLOCK: Final = 16 << 20
_AT_ONCE: Final = 4
"""Blocks of an object that are downloaded at the same time, and kept in memory."""
_PART: Final = 12 << 20
"""Size of the parts of a streamed upload. S3 takes 10,000."""
_PARTS_AT_ONCE: Final = 2
_STATUS: Final = re.compile(r"status code: (\d+)")
_PROBE: Final = ".probe-"


@dataclass(frozen=True, slots=True)
class Found:
    """An object of a listing. `tag` changes with its content."""

    path: str
    tag: str
    age: timedelta
    size: int = 0


class Objects:
    """The objects under a prefix of a bucket.

    Credentials, region and endpoint come from the environment variables of the provider.
    Raises ModelStoreUnavailable, or the error that it is made with, if the store does not answer, refuses the credentials or lacks
    conditional writes.

    The store has threads, which a fork does not copy: a process that forks others must not use it.
    """

    def __init__(self, url: BucketURL, store: ObjectStore | None = None, unavailable: type[CeleriacError] = ModelStoreUnavailable) -> None:
        """Use the bucket at `url`, or `store` in place of it."""
        self.url = url
        self._unavailable = unavailable
        self._opened = store
        self._proven = False

    def list(self, prefix: str) -> list[Found]:
        """Return the objects under a prefix."""
        now = datetime.now(UTC)
        with self._reported(f"list {prefix}"):
            return [
                Found(entry["path"], entry["e_tag"] or entry["last_modified"].isoformat(), now - entry["last_modified"], entry["size"])
                for page in obstore.list(self._store, prefix, chunk_size=1000)
                for entry in page
            ]

    def read(self, path: str) -> tuple[bytes, str] | None:
        """Return the content of an object and its tag, or None if it does not exist."""
        with self._reported(f"read {path}"):
            try:
                answer = obstore.get(self._store, path)
                return bytes(answer.bytes()), str(answer.meta["e_tag"])
            except FileNotFoundError:
                return None

    def create(self, path: str, content: bytes) -> bool:
        """Create an object. Returns False if it exists with other content."""
        return self.replace(path, content, None)

    def replace(self, path: str, content: bytes, tag: str | None) -> bool:
        """Replace an object that has this tag; None means that it must not exist. Returns False if it has another."""
        self._prove()
        with self._reported(f"write {path}"):
            written = self._create(path, content) if tag is None else self._update(path, content, tag)
        # The store refuses a repeated request if the answer to the first one was lost.
        return written or ((current := self.read(path)) is not None and current[0] == content)

    def upload(self, path: str, file: Path | bytes | IO[bytes]) -> None:
        """Write a file, in place of the one that is there."""
        with self._reported(f"write {path}"):
            obstore.put(self._store, path, file)

    def find(self, path: str) -> Found | None:
        """Return an object without its content, or None if it does not exist."""
        with self._reported(f"read {path}"):
            try:
                about = obstore.head(self._store, path)
            except FileNotFoundError:
                return None
        return Found(path, about["e_tag"] or "", datetime.now(UTC) - about["last_modified"], about["size"])

    def read_range(self, path: str, first: int, last: int) -> bytes:
        """Return the bytes of an object from `first` to before `last`. Raises FileNotFoundError if it does not exist."""
        with self._reported(f"read {path}"):
            try:
                return bytes(obstore.get_range(self._store, path, start=first, end=last))
            except FileNotFoundError:
                missing = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        raise missing

    @contextmanager
    def writing(self, path: str) -> Iterator[Callable[[Buffer], None]]:
        """Yield a function that appends to a new object. It is complete after the block, and does not exist if the block raises."""
        with self._reported(f"write {path}"):
            writer = obstore.open_writer(self._store, path, buffer_size=_PART, max_concurrency=_PARTS_AT_ONCE)
        try:
            yield partial(self._append, writer, path)
        except BaseException as error:
            writer.__exit__(type(error), error, None)
            raise
        with self._reported(f"write {path}"):
            writer.close()

    def _append(self, writer: WritableFile, path: str, data: Buffer) -> None:
        with self._reported(f"write {path}"):
            writer.write(data)

    def download(self, path: str, file: Path, size: int, sha256: str) -> None:
        """Write an object of `size` bytes into a new file. Raises ModelUnavailable if it does not have this SHA-256."""
        digest = hashlib.sha256()
        with self._reported(f"read {path}"), file.open("xb") as target, ThreadPoolExecutor(_AT_ONCE) as pool:
            # In ranges, because a time limit applies to each request.
            for first in range(0, size, _AT_ONCE * _BLOCK):
                offsets = range(first, min(size, first + _AT_ONCE * _BLOCK), _BLOCK)
                for block in pool.map(partial(self._range, path, size), offsets):
                    digest.update(block)
                    target.write(block)
        if digest.hexdigest() != sha256:
            raise _damaged(self.url, path, f"its sha256 is {digest.hexdigest()[:12]}…, not {sha256[:12]}… as published")

    def _range(self, path: str, size: int, first: int) -> Buffer:
        last = min(size, first + _BLOCK)
        try:
            return obstore.get_range(self._store, path, start=first, end=last)
        except FileNotFoundError:
            raise _damaged(self.url, path, "it does not exist") from None

    def delete(self, paths: Iterable[str]) -> None:
        """Delete objects; those that do not exist are ignored."""
        paths = list(paths)
        with self._reported("delete objects"):
            try:
                # In few requests, where the store can.
                obstore.delete(self._store, paths)
            except FileNotFoundError:
                for path in paths:
                    with suppress(FileNotFoundError):
                        obstore.delete(self._store, path)

    def probe(self) -> None:
        """Check that the store honors conditional writes: some accept the condition and ignore it, and publishers would overwrite each other."""
        path = f"{_PROBE}{secrets.token_hex(8)}"
        with self._reported(f"write {path}"):
            try:
                honest = self._create(path, b"1") and not self._create(path, b"2")
                tag = obstore.head(self._store, path)["e_tag"] or ""
                honest = honest and self._update(path, b"3", tag) and not self._update(path, b"4", tag)
            except (NotSupportedError, NotImplementedError):
                honest = False
            self.delete([path])
        if not honest:
            raise self._unavailable(
                f"{self.url} does not honor conditional writes (If-None-Match and If-Match), so publishers could overwrite each other. "
                "Use an object store that does, for example a recent version of this one."
            )

    def check_access(self) -> None:
        """Check that objects can be written, listed, read and deleted."""
        path = f"{_PROBE}{secrets.token_hex(8)}"
        self.upload(path, b"1")
        self.list(f"{_PROBE}folder/")
        self.read(path)
        self.delete([path])

    def _prove(self) -> None:
        """Probe the store once, before the first conditional write."""
        if not self._proven:
            self.probe()
            self._proven = True

    def _create(self, path: str, content: bytes) -> bool:
        try:
            obstore.put(self._store, path, content, mode="create")
        except AlreadyExistsError:
            return False
        return True

    def _update(self, path: str, content: bytes, tag: str) -> bool:
        try:
            obstore.put(self._store, path, content, mode={"e_tag": tag})
        except (PreconditionError, FileNotFoundError):
            return False
        return True

    @property
    def _store(self) -> ObjectStore:
        if self._opened is None:
            self._opened = from_url(str(self.url), client_options=_OPTIONS, retry_config=_RETRIES)
        return self._opened

    @contextmanager
    def _reported(self, what: str) -> Iterator[None]:
        """Report the errors of the store, which are several lines long, as one sentence."""
        try:
            yield
        except (FileNotFoundError, BaseError) as error:
            line = str(error).partition("\n")[0][:500].rstrip(".")
            # Only some requests have an error class for the status.
            status = _STATUS.search(line)
            if isinstance(error, FileNotFoundError) or (status and status[1] == "404"):
                problem, remedy = "does not exist", "Create the bucket."
            elif isinstance(error, PermissionDeniedError | UnauthenticatedError) or (status and status[1] in ("401", "403")):
                problem, remedy = "refuses the credentials", "Check that they are valid, and allow it."
            else:
                problem, remedy = "does not answer as expected", "Check its address and the network."
            metrics.BUCKET_FAILURES.labels(self._unavailable.code).inc()
            raise self._unavailable(f"Cannot {what}: {self.url} {problem} ({line}). {remedy}") from None


def _damaged(url: BucketURL, path: str, why: str) -> ModelUnavailable:
    return ModelUnavailable(f"The object {path} of {url} is damaged or was changed: {why}. Publish the model again.")
