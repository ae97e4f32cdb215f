"""Requests to run a batch."""

from __future__ import annotations

import asyncio
import re
from codecs import BOM_UTF8
from functools import partial
from typing import Any, Final

import orjson

from app.core.batches import BatchSpec
from app.core.errors import InvalidInput
from app.core.fields import reject_unknown_fields
from app.core.inputs import method_of
from app.core.models import ModelRef
from app.core.tables import OPTIONS, TableOptions
from app.services.catalog import Catalog
from app.services.job_fields import model_ref
from app.services.webhook_fields import job_webhook
from app.settings import Settings
from app.store import sources
from app.store.files import files
from app.store.sources import Source

FORMATS: Final = ("csv", "jsonl", "npy", "parquet")
_ENDPOINT: Final = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")
_JOBS: Final = "/v1/jobs"
_COMMON: Final = ("completion_window", "metadata", "output_expires_after", "owner", "webhook")
_WINDOW: Final = re.compile(r"([1-9][0-9]{0,6})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_S: Final = 30 * 86400
_GRACE_S: Final = 60.0
_LINE: Final = 16 << 20


class BatchRequests:
    """Parses the bodies of requests to run a batch."""

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self._catalog = catalog
        self._settings = settings

    async def parse(self, body: dict[str, Any], owner: str = "") -> BatchSpec:
        """Return the batch that a body describes, with the model version that the reference means now.

        Args:
            body: With `input_file_id` and `endpoint` as OpenAI defines them, or with `model` and `input` for a table.
            owner: Owner of the batch, if the body does not name one.

        Raises:
            InvalidInput: A field is invalid.
            CeleriacError: The model cannot be served, or a file cannot be read.
        """
        fields = await self._requests(body) if "input_file_id" in body or "endpoint" in body else await self._table(body)
        owner = body.get("owner", owner)
        if not isinstance(owner, str) or len(owner) > 64:
            raise InvalidInput(f"Invalid owner {owner!r}. Use a string of at most 64 characters.", pointer="/owner")
        webhook = job_webhook(body, self._settings)
        receiver = None if webhook is None else {"url": webhook.url, "events": list(webhook.events)}
        return BatchSpec(
            **fields,
            owner=owner,
            window_s=_window(body),
            ttl_s=_ttl(body, self._settings.file_ttl_s),
            metadata=_metadata(body),
            webhook=receiver,
        )

    async def _requests(self, body: dict[str, Any]) -> dict[str, Any]:
        """Parse a body as OpenAI defines it."""
        reject_unknown_fields(body, "input_file_id", "endpoint", *_COMMON)
        id, endpoint = body.get("input_file_id"), body.get("endpoint")
        if not isinstance(id, str):
            raise InvalidInput("Field input_file_id is missing. Upload the requests with POST /v1/files first.", pointer="/input_file_id")
        matched = _ENDPOINT.fullmatch(endpoint) if isinstance(endpoint, str) else None
        if matched:
            reference = "@".join(filter(None, matched.groups()))
        elif endpoint == _JOBS:
            reference = await asyncio.to_thread(_first_model, id)
        else:
            raise InvalidInput(
                f"Invalid endpoint {endpoint!r}. Use /v2/models/NAME/infer, or /v1/jobs if each request names its model.",
                pointer="/endpoint",
            )
        model = await self._model(ModelRef.parse(reference))
        return model | {"requested_model": reference, "input": Source(file=id).as_dict(), "endpoint": endpoint, "method": ""}

    async def _table(self, body: dict[str, Any]) -> dict[str, Any]:
        """Parse a body that names a model and a table."""
        reject_unknown_fields(body, "model", "input", "output", "method", "columns", "keep", "format", *OPTIONS, *_COMMON)
        ref = model_ref(body)
        manifest = await self._catalog.serving(ref)
        source = await asyncio.to_thread(sources.parse, body.get("input"), "/input")
        if source.file:
            await asyncio.to_thread(files().get, source.file)
        output = await asyncio.to_thread(sources.parse, body["output"], "/output") if body.get("output") is not None else None
        if output is not None and output.file:
            raise InvalidInput("Field output must be a path or a URL. Without it the results become a new file.", pointer="/output")
        if output is not None and await asyncio.to_thread(sources.same, source, output):
            raise InvalidInput("output and input are the same file. Name another output, so that the input is kept.", pointer="/output")
        options = {name: body[name] for name in OPTIONS if body.get(name) is not None}
        TableOptions.from_dict({**manifest.reading, **options})
        columns, keep, format = body.get("columns"), body.get("keep"), body.get("format")
        if not (columns is None or _names(columns) or (isinstance(columns, dict) and _names([*columns, *columns.values()]))):
            raise InvalidInput(
                "Field columns must be a list of the file's columns, or an object from the model's columns to the file's.",
                pointer="/columns",
            )
        if not (keep is None or _names(keep)):
            raise InvalidInput("Field keep must be a list of the file's columns.", pointer="/keep")
        if format not in (None, *FORMATS):
            raise InvalidInput(f"Invalid format {format!r}. Use one of {', '.join(FORMATS)}.", pointer="/format")
        return await self._model(ref) | {
            "requested_model": body["model"],
            "method": method_of(body, manifest),
            "input": source.as_dict(),
            "output": output.as_dict() if output else None,
            "columns": columns,
            "keep": keep,
            "format": format,
            "options": options,
        }

    async def _model(self, ref: ModelRef) -> dict[str, Any]:
        manifest = await self._catalog.serving(ref)
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


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _window(body: dict[str, Any]) -> int:
    text = body.get("completion_window", "24h")
    matched = _WINDOW.fullmatch(text) if isinstance(text, str) else None
    seconds = int(matched[1]) * _SECONDS[matched[2]] if matched else 0
    if not 0 < seconds <= _LONGEST_S:
        raise InvalidInput(
            f"Invalid completion_window {text!r}. Use a duration such as 24h or 90m, up to 30d.", pointer="/completion_window"
        )
    return seconds


def _ttl(body: dict[str, Any], longest: int) -> int:
    expires_after = body.get("output_expires_after")
    if expires_after is None:
        return longest
    seconds = expires_after.get("seconds") if isinstance(expires_after, dict) else None
    if (
        not isinstance(expires_after, dict)
        or expires_after.get("anchor", "created_at") != "created_at"
        or type(seconds) is not int
        or not 0 < seconds <= longest
    ):
        raise InvalidInput(
            f'Field output_expires_after must be {{"anchor": "created_at", "seconds": n}} with n up to {longest}.',
            pointer="/output_expires_after",
        )
    return seconds


def _metadata(body: dict[str, Any]) -> dict[str, str]:
    metadata = body.get("metadata") or {}
    fits = isinstance(metadata, dict) and len(metadata) <= 16
    if not fits or any(len(name) > 64 or not isinstance(value, str) or len(value) > 512 for name, value in metadata.items()):
        raise InvalidInput(
            "Field metadata must contain at most 16 strings of at most 512 characters, with names of at most 64 characters.",
            pointer="/metadata",
        )
    return dict(metadata)
