"""/v2/repository: Triton's model repository extension.

Versions are files that workers watch, so that nothing has to be loaded by hand: `load` waits until a worker has loaded what is served.
`unload` takes a model out of service in all processes until `load`. Jobs that were accepted before still run.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import Container, container
from app.api.http.bodies import JSON
from app.api.http.responses import json_response
from app.api.schemas import server as schemas
from app.api.schemas.problems import PROTOCOL_ERRORS
from app.api.server.plain_route import PlainRoute
from app.core.errors import UnknownField
from app.core.protocol import parameters
from app.services.model_entry import Readiness, Version
from app.services.requests.repository import IndexRequest, LoadRequest

router = APIRouter(prefix="/v2/repository", tags=["repository"], route_class=PlainRoute, responses=PROTOCOL_ERRORS)
# Triton's clients send no content type here, and curl sends that of a form if it sends an empty body.
_TYPES: Final = (*JSON, "", "application/x-www-form-urlencoded")


@router.post("/index", **schemas.INDEX)
async def index(request: Request) -> Response:
    """Lists every version of every model and its state. `{"ready": true}` omits those that no worker has loaded."""
    root = container(request)
    only_ready = IndexRequest.parse(await root.bodies.read_optional(request, _TYPES)).ready
    return json_response(
        [
            _entry(entry.name, name, version)
            for entry in root.catalog.entries.values()
            for name, version in entry.versions.items()
            if version.state is Readiness.READY or not only_ready
        ]
    )


@router.post("/models/{name}/load", **schemas.LOAD)
async def load(request: Request) -> Response:
    """Returns once a worker has loaded the versions of the model that its aliases and its bare name mean."""
    root = container(request)
    for parameter in await _parameters(root, request):
        raise UnknownField(
            f"Parameter {parameter!r} is not supported. Publish models to the repository instead of sending them with the load request.",
            pointer=f"/parameters/{parameter}",
        )
    await root.models.load(request.path_params["name"])
    return json_response({})


@router.post("/models/{name}/unload", **schemas.UNLOAD)
async def unload(request: Request) -> Response:
    """Takes a model out of service: new requests are refused within a second, and workers free its memory."""
    root = container(request)
    await _parameters(root, request)
    await root.models.unload(request.path_params["name"])
    return json_response({})


async def _parameters(root: Container, request: Request) -> dict[str, Any]:
    body = LoadRequest.parse(await root.bodies.read_optional(request, _TYPES))
    return parameters({"parameters": body.parameters})


def _entry(name: str, number: str, version: Version) -> schemas.IndexEntry:
    if version.state is Readiness.COLD:
        reason = "No worker has loaded it. A worker loads it with the first request."
        return {"name": name, "version": number, "state": Readiness.UNAVAILABLE, "reason": reason}
    return {"name": name, "version": number, "state": version.state, "reason": version.reason}
