"""/v1/models/{name}/aliases/{alias}/rollout: a version takes a growing share of the requests for an alias."""

from __future__ import annotations

from dataclasses import asdict
from typing import cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http.responses import json_response
from app.api.schemas import rollouts as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.core.timestamps import rfc3339
from app.services.requests.rollouts import RolloutRequest
from app.services.rollouts import RolloutReport

router = APIRouter(prefix="/v1/models/{name}/aliases/{alias}/rollout", tags=["models"], route_class=PlainRoute, responses=PROBLEMS)


@router.put("", **schemas.START)
async def start(request: Request) -> Response:
    """Rolls a version out: it takes a share of the requests for the alias, which grows in steps.

    A step ends when it has lasted long enough and enough jobs of the version have ended. After a step of 100 percent the alias moves. If too
    many jobs fail, or runs take too long, the version is rolled back. Its inputs and outputs must be those of the version before.
    """
    root, path = container(request), request.path_params
    body = RolloutRequest.parse(await root.bodies.read_object(request))
    return _response(request, await root.rollouts.start(path["name"], path["alias"], body))


@router.get("", **schemas.READ)
async def read(request: Request) -> Response:
    """Returns the last rollout of an alias, and what the current step still needs."""
    path = request.path_params
    return _response(request, await container(request).rollouts.read(path["name"], path["alias"]))


@router.delete("", **schemas.ROLL_BACK)
async def roll_back(request: Request) -> Response:
    """Rolls a version back: the alias leads to the version before alone. A rollout that has ended stays as it is."""
    path = request.path_params
    return _response(request, await container(request).rollouts.roll_back(path["name"], path["alias"]))


def _response(request: Request, report: RolloutReport) -> Response:
    record, canary = report.record, report.canary
    rollout = asdict(canary.rollout) if canary is not None and canary.rollout is not None else {}
    step = asdict(report.progress) if report.progress is not None else None
    if step is not None:
        del step["fault"]
    body: schemas.Rollout = {
        "id": record.id,
        "model": request.path_params["name"],
        "alias": request.path_params["alias"],
        "version": record.version,
        "before": record.before,
        "state": record.state,
        "percent": canary.percent if canary is not None else record.percent,
        "reason": record.reason,
        "updated_at": cast("str", rfc3339(record.at)),
        "by": canary.by if canary is not None else None,
        "steps": rollout.get("steps"),
        "step_s": rollout.get("step_s"),
        "min_jobs": rollout.get("min_jobs"),
        "max_error_rate": rollout.get("max_error_rate"),
        "max_p95_ratio": rollout.get("max_p95_ratio"),
        "min_agreement": rollout.get("min_agreement"),
        "started_at": rfc3339(rollout.get("started_at")),
        "step_at": rfc3339(rollout.get("step_at")),
        "step": cast("schemas.RolloutStep | None", step),
    }
    return json_response(body)
