"""Requests to run a batch."""

from __future__ import annotations

import asyncio
from codecs import BOM_UTF8
from functools import partial
from typing import Any, Final

import orjson

from app.core import callers
from app.core.api_keys import OWNER, OWNER_FORM
from app.core.batches import BatchSpec
from app.core.errors import InvalidInput, shown
from app.core.inputs import method_of
from app.core.models import ModelRef
from app.core.tables import TableOptions
from app.services.catalog import Catalog
from app.services.requests.batches import ExpiresAfter, RequestBatch, TableBatch
from app.services.requests.webhooks import job_webhook
from app.settings import Settings
from app.store import sources
from app.store.files import files
from app.store.sources import Source

_GRACE_S: Final = 60.0
_LINE: Final = 16 << 20


class BatchRequests:
    """Parses the bodies of requests to run a batch."""

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self._catalog = catalog
        self._settings = settings

    async def parse(self, request: TableBatch | RequestBatch, owner: str = "") -> BatchSpec:
        """Return the batch that a request describes, with the model version that the reference means now.

        Args:
            request: The body of the request.
            owner: Owner of the batch, if the body does not name one and nobody authenticated the caller.

        Raises:
            InvalidInput: A field is invalid.
            ScopeMissing: The caller may not act for the owner.
            CeleriacError: The model cannot be served, or a file cannot be read.
        """
        caller = callers.CALLER.get()
        if caller is not None:
            owner = (caller.acting_for(request.owner) if request.owner else caller).owner
        elif request.owner is not None:
            owner = request.owner
        if owner and not OWNER.fullmatch(owner):
            raise InvalidInput(f"Invalid owner {shown(owner)}. {OWNER_FORM}", pointer="/owner")
        fields = await (self._requests(request) if isinstance(request, RequestBatch) else self._table(request))
        webhook = job_webhook(request.webhook, self._settings)
        receiver = None if webhook is None else {"url": webhook.url, "events": list(webhook.events)}
        return BatchSpec(
            **fields,
            owner=owner,
            window_s=request.window_s,
            ttl_s=_ttl(request.output_expires_after, self._settings.file_ttl_s),
            metadata=request.metadata or {},
            webhook=receiver,
        )

    async def _requests(self, request: RequestBatch) -> dict[str, Any]:
        """Parse a body as OpenAI defines it."""
        reference = request.model or await asyncio.to_thread(_first_model, request.input_file_id)
        model = await self._model(ModelRef.parse(reference))
        await asyncio.to_thread(files().get, request.input_file_id)
        source = Source(file=request.input_file_id).as_dict()
        return model | {"requested_model": reference, "input": source, "endpoint": request.endpoint, "method": ""}

    async def _table(self, request: TableBatch) -> dict[str, Any]:
        """Parse a body that names a model and a table."""
        manifest = await self._catalog.serving(request.model)
        source = await asyncio.to_thread(sources.parse, request.input, "/input")
        if source.file:
            await asyncio.to_thread(files().get, source.file)
        output = await asyncio.to_thread(sources.parse, request.output, "/output") if request.output is not None else None
        if output is not None and output.file:
            raise InvalidInput("Field output must be a path or a URL. Without it the results become a new file.", pointer="/output")
        if output is not None and await asyncio.to_thread(sources.same, source, output):
            raise InvalidInput("output and input are the same file. Name another output, so that the input is kept.", pointer="/output")
        TableOptions.from_dict({**manifest.reading, **request.options})
        return await self._model(request.model) | {
            "requested_model": str(request.model),
            "method": method_of(request.method, manifest),
            "input": source.as_dict(),
            "output": output.as_dict() if output else None,
            "columns": request.columns,
            "keep": request.keep,
            "format": request.format,
            "options": request.options,
        }

    async def _model(self, ref: ModelRef) -> dict[str, Any]:
        manifest = self._catalog.routed(ref, await self._catalog.serving(ref))
        return {
            "model": manifest.name,
            "version": manifest.version,
            "pool": manifest.pool,
            "limit_s": manifest.time_limit_s + _GRACE_S,
        }


def _first_model(id: str) -> str:
    """Return the model that the first request of a file names."""
    with files().content(id).open("rb") as file:
        lines = (line.removeprefix(BOM_UTF8) for line in iter(partial(file.readline, _LINE), b""))
        text = next((line for line in lines if line.strip()), b"")
    if not text:
        raise InvalidInput("The file contains no requests.", pointer="/input_file_id")
    try:
        model = orjson.loads(text)["body"]["model"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        model = None
    if not isinstance(model, str):
        raise InvalidInput(
            "The body of the first request does not name a model. Write {custom_id, method, url, body: {model, inputs}}.",
            pointer="/input_file_id",
        )
    return model


def _ttl(expires_after: ExpiresAfter | None, longest: int) -> int:
    if expires_after is None:
        return longest
    if expires_after.seconds > longest:
        raise InvalidInput(
            f"Field output_expires_after.seconds must be at most {longest}, not {expires_after.seconds}.",
            pointer="/output_expires_after/seconds",
        )
    return expires_after.seconds
