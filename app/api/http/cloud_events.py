"""A prediction that is requested by a CloudEvent and answered with one, in the binary or the structured mode."""

from __future__ import annotations

import time
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.api.http.headers import media_type
from app.core.cloud_events import MEDIA_TYPE, PREFIX, RESPONSE, CloudEvent, attributes, header_text, header_value
from app.core.models import Manifest
from app.core.timestamps import rfc3339

_SPECVERSION: Final = f"{PREFIX}specversion".encode()


def structured(request: Request) -> bool:
    """Whether the body is an event with its attributes."""
    return media_type(request) == MEDIA_TYPE


def from_headers(request: Request) -> CloudEvent | None:
    """Return the event whose attributes are headers, or None if the request is not one in binary mode. Raises InvalidInput."""
    headers = request.scope["headers"]
    if not any(name == _SPECVERSION for name, _ in headers):
        return None
    start = PREFIX.encode()
    given = {name.removeprefix(start).decode("latin-1"): value for name, value in headers if name.startswith(start)}
    return CloudEvent.of({name: header_value(value.decode("latin-1")) for name, value in given.items()}, PREFIX)


def answered(response: Response, event: CloudEvent, manifest: Manifest, source: str, *, structured: bool) -> Response:
    """Return a response in JSON as an event with the ID of the event that requested it, in the same mode."""
    reply = CloudEvent(event.id, source, RESPONSE)
    values = attributes(reply, rfc3339(time.time()) or "", f"{manifest.name}@{manifest.version}")
    if not structured:
        response.raw_headers += [((PREFIX + name).encode(), header_text(value).encode()) for name, value in values.items()]
        return response
    body = orjson.dumps({**values, "datacontenttype": "application/json", "data": orjson.Fragment(bytes(response.body))})
    wrapped = Response(body, response.status_code, media_type=MEDIA_TYPE)
    kept = [(name, value) for name, value in response.raw_headers if name not in (b"content-type", b"content-length")]
    wrapped.raw_headers += kept
    return wrapped
