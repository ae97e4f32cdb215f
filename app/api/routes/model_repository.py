"""/v2/repository: Triton's model repository extension.

Versions are files that workers watch, so nothing has to be loaded by hand: `load` waits until a worker holds what is served.
`unload` takes a model out of service for all processes, until `load`; jobs that were accepted before are still run.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.http.bodies import JSON, SMALL_BYTES, known, read_bytes
from app.api.http.reading import parse_object
from app.api.routes.jobs import answer
from app.api.schemas import server as schemas
from app.api.schemas.problems import PROTOCOL_ERRORS
from app.api.server.plain_route import PlainRoute
from app.core.errors import DeadlineExceeded, InvalidInput, ModelUnavailable, UnknownField
from app.core.protocol import parameters
from app.services.jobs import gateway
from app.services.models import Entry, Readiness, Version
from app.store import unloaded_models

router = APIRouter(prefix="/v2/repository", tags=["repository"], route_class=PlainRoute, responses=PROTOCOL_ERRORS)
# Triton's clients name no content type here, and curl names a form's where it is told to send nothing.
_KINDS: Final = (*JSON, "", "application/x-www-form-urlencoded")


@router.post("/index", **schemas.INDEX)
async def index(request: Request) -> Response:
    """Every version of every model and its state; `{"ready": true}` leaves out those that no worker holds."""
    body = await _body(request)
    known(body, "ready", "repository_name")
    only_ready = body.get("ready", False)
    if not isinstance(only_ready, bool):
        raise InvalidInput(f"ready is {only_ready!r}: give true or false", pointer="/ready")
    if not isinstance(body.get("repository_name", ""), str | None):
        raise InvalidInput("repository_name must be a string", pointer="/repository_name")
    return answer(
        [
            {"name": entry.name, "version": name, **_state(version)}
            for entry in gateway(request).catalogue.entries.values()
            for name, version in entry.versions.items()
            if version.state is Readiness.READY or not only_ready
        ]
    )


@router.post("/models/{name}/load", **schemas.LOAD)
async def load(request: Request) -> Response:
    """Answers once a worker holds the versions of the model that its aliases and its bare name mean."""
    here, name = gateway(request), request.path_params["name"]
    body = await _body(request)
    known(body, "parameters")
    for parameter in parameters(body):
        told = f"{parameter} is not spoken: a model is not sent with this request, it is published into the repository"
        raise UnknownField(told, pointer=f"/parameters/{parameter}")
    await here.catalogue.refresh()
    await here.catalogue.entry(name)
    await unloaded_models.remove(here.redis, name)
    longest = here.settings.infer_timeout_s
    try:
        async with asyncio.timeout(longest):
            await here.catalogue.refresh()
            while pending := _pending(await here.catalogue.entry(name)):
                await here.catalogue.refreshed()
    except TimeoutError:
        raise DeadlineExceeded(f"no worker holds {name}@{pending} after {longest:g} s: is one of its pool running?") from None
    return answer({})


@router.post("/models/{name}/unload", **schemas.UNLOAD)
async def unload(request: Request) -> Response:
    """Takes a model out of service: new requests are refused within a second, and workers give its memory back."""
    here, name = gateway(request), request.path_params["name"]
    body = await _body(request)
    known(body, "parameters")
    parameters(body)
    await here.catalogue.entry(name)
    await unloaded_models.add(here.redis, name)
    await here.catalogue.refresh()
    return answer({})


async def _body(request: Request) -> dict[str, Any]:
    found = await read_bytes(request, SMALL_BYTES, _KINDS)
    return parse_object(found) if found else {}


def _state(version: Version) -> dict[str, str]:
    if version.state is Readiness.COLD:
        return {"state": "UNAVAILABLE", "reason": "no worker holds it; one that is asked for it loads it"}
    return {"state": version.state, "reason": version.reason}


def _pending(entry: Entry) -> str:
    """A served version that is still to come, or nothing. Raises ModelUnavailable where one cannot be served."""
    for served in sorted({entry.default, *entry.aliases.values()} & entry.versions.keys()):
        version = entry.versions[served]
        if version.state is Readiness.UNAVAILABLE:
            raise ModelUnavailable(f"{entry.name}@{served} cannot be served: {version.reason}")
        if version.state is not Readiness.READY:
            return served
    return ""
