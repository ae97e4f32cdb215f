"""/v1/pipelines: which there are, and their pictures. They are run as jobs."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.routes.jobs import answer
from app.api.schemas import pipelines as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.core.errors import PipelineUnavailable
from app.core.mermaid import mermaid
from app.core.pipelines import Pipeline
from app.registry.pipelines import Pipelines
from app.services.jobs import gateway
from app.services.pipelines import obstacle

router = APIRouter(prefix="/v1/pipelines", tags=["pipelines"], route_class=PlainRoute, responses=PROBLEMS)


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Every pipeline; one that cannot be run with the reason: the line of its file that is wrong, or a model that is not served."""
    here = gateway(request)
    found = await asyncio.to_thread(_all, here.pipelines)
    return answer({"items": [one if isinstance(one, dict) else _summary(one, obstacle(here, one)) for one in found]})


@router.get("/{name}", **schemas.READ)
async def read(request: Request) -> Response:
    """One pipeline: its file as JSON, and a Mermaid flowchart."""
    pipeline, data = await asyncio.to_thread(gateway(request).pipelines.read, request.path_params["name"])
    return answer({"name": pipeline.name, **data, "drawing": mermaid(pipeline)})


def _all(pipelines: Pipelines) -> list[Pipeline | dict[str, Any]]:
    found: list[Pipeline | dict[str, Any]] = []
    for name in pipelines.names():
        try:
            found.append(pipelines.read(name)[0])
        except PipelineUnavailable as error:
            found.append({"name": name, "reason": error.detail})
    return found


def _summary(pipeline: Pipeline, reason: str | None) -> dict[str, Any]:
    found = {"name": pipeline.name, "description": pipeline.description, "inputs": pipeline.inputs, "steps": list(pipeline.steps)}
    return found | ({"reason": reason} if reason else {})
