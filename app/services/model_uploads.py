"""Publishing over the API: an archive is received, checked in a process of its own, and published as a version in one step."""

from __future__ import annotations

import asyncio
import errno
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import redis.asyncio

from app import metrics
from app.core import audit, callers
from app.core.api_keys import Scope
from app.core.audit import Action, Target
from app.core.errors import (
    CeleriacError,
    IdempotencyMismatch,
    ModelConflict,
    ModelsReadOnly,
    ModelUnavailable,
    Overloaded,
    ScopeMissing,
)
from app.core.models import CODE, FORMATS, MLMODEL, RUNS_CODE, Manifest, check_alias, check_name, check_version
from app.core.promotions import Promotion
from app.core.special_addresses import is_loopback
from app.registry import mlflow, staging
from app.registry.repository import Repository
from app.services import upload_check
from app.services.catalog import Catalog
from app.services.models import ModelService
from app.services.uploaded_archive import UploadedArchive, too_large
from app.settings import Settings
from app.store.audit import write_publication
from app.store.files import full

_TAG: Final = "upload-"
_RUNS_CODE: Final = (CODE, *(FORMATS[format] for format in RUNS_CODE))
"""Files whose loading runs code that they contain."""
_READ_ONLY: Final = (errno.EROFS, errno.EACCES, errno.EPERM)


@dataclass(frozen=True, slots=True)
class Publication:
    """What a caller wants to publish.

    Attributes:
        name: Name of the model.
        version: Version to create, or None for the next integer.
        alias: Alias to point to the version once a worker serves it, or None.
        description: Human-readable description.
        format: Format of an estimator, or None.
        sha256: SHA-256 of the body, or None.
        key: Idempotency key, or None.
    """

    name: str
    version: str | None = None
    alias: str | None = None
    description: str = ""
    format: str | None = None
    sha256: bytes | None = None
    key: str | None = None

    @property
    def job(self) -> str:
        """What the version is found by if the request is sent again; an empty string without a key."""
        return callers.record_id("k" + hashlib.sha256(f"{self.name} {self.key}".encode()).hexdigest()[:39]) if self.key else ""

    def check(self) -> None:
        """Raise InvalidInput for a name that is not valid."""
        check_name(self.name)
        if self.version is not None:
            check_version(self.version)
        if self.alias is not None:
            check_alias(self.alias)


class ModelUploads:
    """Receives versions. One API process receives and checks a few at once."""

    def __init__(
        self, client: redis.asyncio.Redis, settings: Settings, repository: Repository, catalog: Catalog, models: ModelService
    ) -> None:
        self._client = client
        self._settings = settings
        self._repository = repository
        self._catalog = catalog
        self._models = models
        self._active = 0

    async def publish(self, publication: Publication, size: int | None, body: AsyncIterable[bytes]) -> tuple[Manifest, Promotion | None]:
        """Receive, check and publish a version, and request the promotion of its alias.

        Args:
            publication: What to publish.
            size: Bytes of the body, or None if the caller did not say.
            body: A tar archive of the folder of the version. It is not read if the request is refused.

        Raises:
            InvalidInput: A name, the archive or the model is not valid.
            PayloadTooLarge: The archive is too large.
            RequestTimeout: The archive did not arrive in time.
            KeyRestricted: The caller may not use the model or its pool.
            ScopeMissing: Loading the model runs code, and the caller lacks the scope for it.
            ModelConflict: The version exists.
            IdempotencyMismatch: The idempotency key was used with another body.
            ModelsReadOnly: The API does not publish, or cannot write the repository.
            StorageFull: The volume of the repository is full.
            Overloaded: This process receives as many versions as it may.
        """
        outcome = "aborted"
        try:
            self._admit(publication, size)
            async with self._stage() as stage:
                upload = UploadedArchive(stage, self._settings)
                await upload.read(body, publication.sha256)
                manifest, new = await asyncio.to_thread(self._publish, publication, upload)
            outcome = "published"
        except CeleriacError as error:
            outcome = error.code
            raise
        finally:
            metrics.PUBLICATIONS.labels(outcome).inc()
        if new:
            target = Target("model", f"{manifest.name}@{manifest.version}")
            entry = audit.draft(Action.MODEL_PUBLISHED, target, after={"format": manifest.format, "sha256": manifest.sha256})
            await write_publication(self._client, entry, manifest.name, manifest.version)
        promotion = await self._models.promote(manifest.name, publication.alias, manifest.version) if publication.alias else None
        await self._catalog.refresh()
        return manifest, promotion

    def _admit(self, publication: Publication, size: int | None) -> None:
        publication.check()
        callers.check_model(publication.name)
        if self._settings.publish == "off":
            raise ModelsReadOnly(
                "This server publishes nothing over the API. Set CELERIAC_PUBLISH=on, or publish with `celeriac models publish`."
            )
        if size is not None and size > self._settings.max_version_bytes:
            raise too_large(self._settings)
        if publication.format == "joblib":
            self._check_code("The format joblib")
        if publication.version and not publication.key and (self._repository.root / publication.name / publication.version).exists():
            detail = f"{publication.name}@{publication.version} exists already, and a version never changes. Publish another version."
            raise ModelConflict(detail, pointer="/version")

    @asynccontextmanager
    async def _stage(self) -> AsyncIterator[Path]:
        """Yield an empty folder on the volume of the repository, which is deleted afterwards."""
        if self._active >= self._settings.max_publications:
            detail = f"This process receives {self._active} versions already (CELERIAC_MAX_PUBLICATIONS). Try again."
            raise Overloaded(detail, retry_after_s=10)
        self._active += 1
        metrics.PUBLICATIONS_ACTIVE.inc()
        stack = ExitStack()
        try:
            with _volume_errors():
                yield await asyncio.to_thread(self._open, stack)
        finally:
            self._active -= 1
            metrics.PUBLICATIONS_ACTIVE.dec()
            await asyncio.to_thread(stack.close)

    def _open(self, stack: ExitStack) -> Path:
        root = self._repository.root
        root.mkdir(parents=True, exist_ok=True)
        return stack.enter_context(staging.folder(root, _TAG))

    def _publish(self, publication: Publication, upload: UploadedArchive) -> tuple[Manifest, bool]:
        """Return the version, and whether this request published it."""
        manifest, new = None, False
        if publication.job:
            manifest = self._repository.published(publication.name, publication.job)
        if manifest is None:
            folder = upload.unpack()
            options = self._options(publication, folder)

            def write(stage: Path) -> Manifest:
                nonlocal new
                manifest = upload_check.check(publication.name, folder, stage, self._settings, options)
                callers.check_pool(manifest.pool)
                given = {name: value for name, value in manifest.provenance.items() if name != "job"}
                made = {"upload": upload.sha256} | ({"job": publication.job} if publication.job else {})
                new = True
                return replace(manifest, provenance=given | made)

            manifest = self._repository.publish(publication.name, write, version=publication.version, job=publication.job)
        if manifest.provenance.get("upload") != upload.sha256:
            raise IdempotencyMismatch("This Idempotency-Key was used before with another body.")
        return manifest, new

    def _options(self, publication: Publication, folder: Path) -> dict[str, Any]:
        """Return the options of the check. Raises ScopeMissing if the model would run code, and the caller may not publish that."""
        format = publication.format
        for file in _RUNS_CODE:
            if (folder / file).exists():
                self._check_code(f"Loading {file}")
        saved = mlflow.read(folder) if (folder / MLMODEL).is_file() else None
        if saved and saved.runs_code:
            self._check_code(f"Loading {saved.file.name}")
        skops = saved.format == "skops" if saved else (folder / FORMATS["skops"]).exists()
        if format is None and skops and not self._may_run_code():
            format = "skops"  # the default may become joblib
        code = self._may_run_code() and self._settings.allow_pickle
        return {"description": publication.description, "format": format, "code": code}

    def _check_code(self, what: str) -> None:
        """Raise ScopeMissing unless the caller may publish code, ModelUnavailable if no worker would load it."""
        try:
            callers.require(Scope.MODELS_PICKLE)
        except ScopeMissing as error:
            raise ScopeMissing(f"{what} runs code that it contains. {error.detail} Publish onnx or skops.", scope=error.scope) from None
        if not self._may_run_code():
            raise ScopeMissing(
                f"{what} runs code that it contains, which callers without a key may publish on this machine only. Set CELERIAC_AUTH=keys.",
                scope=Scope.MODELS_PICKLE,
            )
        if not self._settings.allow_pickle:
            raise ModelUnavailable(f"{what} runs code that it contains, which CELERIAC_ALLOW_PICKLE forbids. Publish onnx or skops.")

    def _may_run_code(self) -> bool:
        """Return whether the caller may publish code."""
        try:
            callers.require(Scope.MODELS_PICKLE)
        except ScopeMissing:
            return False
        return self._settings.auth == "keys" or is_loopback(self._settings.api_host)


@contextmanager
def _volume_errors() -> Iterator[None]:
    try:
        yield
    except (ConnectionError, TimeoutError):  # of the caller, not of the disk
        raise
    except OSError as error:
        if error.errno in _READ_ONLY:
            raise ModelsReadOnly(
                f"The API cannot write the model repository ({error.strerror}). Set api.writesModels=true in the chart, or let the API write "
                "CELERIAC_MODELS."
            ) from None
        raise full(error, "model repository") or error from None
