"""The body that asks for a batch."""

from __future__ import annotations

import asyncio
import re
from codecs import BOM_UTF8
from functools import partial
from typing import Any, Final

import orjson

from app.api.http.bodies import known
from app.core.batches import BatchSpec
from app.core.errors import InvalidInput
from app.core.inputs import method_of
from app.core.models import ModelRef
from app.core.tables import OPTIONS, TableOptions
from app.services.jobs import Gateway
from app.services.webhook_fields import job_webhook
from app.store import sources
from app.store.files import files
from app.store.sources import Source

OWNER: Final = "celeriac-owner"
FORMATS: Final = ("csv", "jsonl", "npy", "parquet")
_ENDPOINT: Final = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")
_JOBS: Final = "/v1/jobs"
_COMMON: Final = ("completion_window", "metadata", "output_expires_after", "owner", "webhook")
_WINDOW: Final = re.compile(r"([1-9][0-9]{0,6})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_S: Final = 30 * 86400
_GRACE_S: Final = 60.0
_LINE: Final = 16 << 20


async def order_of(here: Gateway, body: dict[str, Any], owner: str = "") -> BatchSpec:
    """What is asked for, with the model's version as it is now. Raises InvalidInput that names the field, or what the model raises."""
    found = await _requests(here, body) if "input_file_id" in body or "endpoint" in body else await _table(here, body)
    owner = body.get("owner", owner)
    if not isinstance(owner, str) or len(owner) > 64:
        raise InvalidInput(f"owner is {owner!r}: give a text of at most 64 characters", pointer="/owner")
    webhook = job_webhook(body, here.settings)
    told = None if webhook is None else {"url": webhook.url, "events": list(webhook.events)}
    return BatchSpec(**found, owner=owner, window_s=_window(body), ttl_s=_ttl(here, body), metadata=_metadata(body), webhook=told)


async def _requests(here: Gateway, body: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's form."""
    known(body, "input_file_id", "endpoint", *_COMMON)
    id, endpoint = body.get("input_file_id"), body.get("endpoint")
    if not isinstance(id, str):
        raise InvalidInput("input_file_id is missing: upload the requests with POST /v1/files first", pointer="/input_file_id")
    matched = _ENDPOINT.fullmatch(endpoint) if isinstance(endpoint, str) else None
    if matched:
        asked = "@".join(filter(None, matched.groups()))
    elif endpoint == _JOBS:
        asked = await asyncio.to_thread(_first_model, id)
    else:
        told = f"endpoint is {endpoint!r}: /v2/models/NAME/infer, or /v1/jobs, where each request names its model"
        raise InvalidInput(told, pointer="/endpoint")
    return await _model(here, asked) | {"asked": asked, "input": Source(file=id).as_dict(), "endpoint": endpoint, "method": ""}


async def _table(here: Gateway, body: dict[str, Any]) -> dict[str, Any]:
    known(body, "model", "input", "output", "method", "columns", "keep", "format", *OPTIONS, *_COMMON)
    if not isinstance(body.get("model"), str):
        raise InvalidInput('model is missing: name one, as in {"model": "digits@production"}', pointer="/model")
    asked = body["model"]
    manifest = await here.catalogue.serving(ModelRef.parse(asked))
    source = await asyncio.to_thread(sources.parse, body.get("input"), "/input")
    if source.file:
        await asyncio.to_thread(files().get, source.file)
    output = await asyncio.to_thread(sources.parse, body["output"], "/output") if body.get("output") is not None else None
    if output is not None and output.file:
        raise InvalidInput("output must be a path or a URL; without it the answers become a new file", pointer="/output")
    if output is not None and await asyncio.to_thread(sources.same, source, output):
        raise InvalidInput("output and input are the same file. Name another output, so that the input is kept.", pointer="/output")
    options = {name: body[name] for name in OPTIONS if body.get(name) is not None}
    TableOptions.from_dict({**manifest.reading, **options})
    columns, keep, format = body.get("columns"), body.get("keep"), body.get("format")
    if not (columns is None or _names(columns) or (isinstance(columns, dict) and _names([*columns, *columns.values()]))):
        raise InvalidInput(
            "columns must be a list of the file's columns, or say for the model's column which of the file's it is", pointer="/columns"
        )
    if not (keep is None or _names(keep)):
        raise InvalidInput("keep must be a list of the file's columns", pointer="/keep")
    if format not in (None, *FORMATS):
        raise InvalidInput(f"format is {format!r}: one of {', '.join(FORMATS)}", pointer="/format")
    return await _model(here, asked) | {
        "asked": asked,
        "method": method_of(body, manifest),
        "input": source.as_dict(),
        "output": output.as_dict() if output else None,
        "columns": columns,
        "keep": keep,
        "format": format,
        "options": options,
    }


async def _model(here: Gateway, asked: str) -> dict[str, Any]:
    manifest = await here.catalogue.serving(ModelRef.parse(asked))
    return {
        "model": manifest.name,
        "version": manifest.version,
        "pool": manifest.pool,
        "limit_s": manifest.time_limit_s + _GRACE_S,
    }


def _first_model(id: str) -> str:
    """The model that the first request of a file names."""
    with files().content(id).open("rb") as file:
        lines = (line.removeprefix(BOM_UTF8) for line in iter(partial(file.readline, _LINE), b""))
        text = next((line for line in lines if line.strip()), b"")
    if not text:
        raise InvalidInput("the file holds no requests", pointer="/input_file_id")
    try:
        model = orjson.loads(text)["body"]["model"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        model = None
    if not isinstance(model, str):
        told = "the body of the first request names no model"
        raise InvalidInput(f"{told}: write {{custom_id, method, url, body: {{model, inputs}}}}", pointer="/input_file_id")
    return model


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _window(body: dict[str, Any]) -> int:
    text = body.get("completion_window", "24h")
    matched = _WINDOW.fullmatch(text) if isinstance(text, str) else None
    seconds = int(matched[1]) * _SECONDS[matched[2]] if matched else 0
    if not 0 < seconds <= _LONGEST_S:
        raise InvalidInput(f"completion_window is {text!r}: give it as in 24h or 90m, up to 30d", pointer="/completion_window")
    return seconds


def _ttl(here: Gateway, body: dict[str, Any]) -> int:
    longest, asked = here.settings.file_ttl_s, body.get("output_expires_after")
    if asked is None:
        return longest
    seconds = asked.get("seconds") if isinstance(asked, dict) else None
    if (
        not isinstance(asked, dict)
        or asked.get("anchor", "created_at") != "created_at"
        or type(seconds) is not int
        or not 0 < seconds <= longest
    ):
        told = f'output_expires_after must be {{"anchor": "created_at", "seconds": n}}, n up to {longest}'
        raise InvalidInput(told, pointer="/output_expires_after")
    return seconds


def _metadata(body: dict[str, Any]) -> dict[str, str]:
    found = body.get("metadata") or {}
    fits = isinstance(found, dict) and len(found) <= 16
    if not fits or any(len(name) > 64 or not isinstance(value, str) or len(value) > 512 for name, value in found.items()):
        raise InvalidInput("metadata must be at most 16 texts of at most 512 characters, with names of at most 64", pointer="/metadata")
    return dict(found)
