"""/v1/models/{name}/aliases/{alias}/shadow: a version predicts again what the version of an alias answers."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http.responses import json_response
from app.api.schemas import shadows as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.core.routes import Shadow
from app.services.requests.shadows import ShadowRequest
from app.services.shadows import Shadowing

router = APIRouter(prefix="/v1/models/{name}/aliases/{alias}/shadow", tags=["models"], route_class=PlainRoute, responses=PROBLEMS)


@router.put("", **schemas.CAST)
async def cast(request: Request) -> Response:
    """Gives an alias a shadow: a version that predicts a share of its jobs again, after the answers.

    The answers are compared, and no caller sees those of the shadow. It works when nothing else of the pool waits. What it does is not
    billed, not retried and not counted in the figures. Its inputs and outputs must be those of the version of the alias.
    """
    root, path = container(request), request.path_params
    body = ShadowRequest.parse(await root.bodies.read_object(request))
    return _response(request, await root.shadows.cast(path["name"], path["alias"], Shadow(body.version, body.rate)))


@router.get("", **schemas.READ)
async def read(request: Request) -> Response:
    """Returns the shadow of an alias, and how far its answers agree."""
    path = request.path_params
    return _response(request, await container(request).shadows.read(path["name"], path["alias"]))


@router.delete("", **schemas.REMOVE)
async def remove(request: Request) -> Response:
    """Takes the shadow of an alias away. What its comparisons have shown is kept for a week."""
    path = request.path_params
    return _response(request, await container(request).shadows.remove(path["name"], path["alias"]))


def _response(request: Request, shadowing: Shadowing) -> Response:
    report = shadowing.report
    body: schemas.Shadow = {
        "model": request.path_params["name"],
        "alias": request.path_params["alias"],
        "version": shadowing.version,
        "shadow": shadowing.shadow.version,
        "rate": shadowing.shadow.rate,
        "jobs": report.jobs,
        "failed": report.failed,
        "rows": report.rows,
        "agreement": report.agreement,
        "largest_difference": report.largest,
        "answers": [{"answer": answer, "shadow": shadow, "rows": rows} for answer, shadow, rows in report.answers],
    }
    return json_response(body)
