"""/v1/pipelines: list pipelines and draw them. They are run as jobs."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http.responses import json_response
from app.api.schemas import pipelines as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.core.mermaid import mermaid
from app.core.pipelines import Pipeline

router = APIRouter(prefix="/v1/pipelines", tags=["pipelines"], route_class=PlainRoute, responses=PROBLEMS)


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Lists every pipeline. One that cannot run has a reason: an error in its file, or a model that is not served."""
    pipelines = container(request).pipelines
    items: list[schemas.PipelineSummary] = [
        _summary(pipeline, pipelines.obstacle(pipeline)) if isinstance(pipeline, Pipeline) else {"name": name, "reason": pipeline.detail}
        for name, pipeline in (await pipelines.all()).items()
    ]
    return json_response(schemas.PipelineList(items=items))


@router.get("/{name}", **schemas.READ)
async def read(request: Request) -> Response:
    """Returns one pipeline: its file as JSON, and a Mermaid flowchart."""
    pipeline, data = await container(request).pipelines.read(request.path_params["name"])
    body = cast("schemas.Pipeline", {"name": pipeline.name, **data, "drawing": mermaid(pipeline)})
    return json_response(body)


def _summary(pipeline: Pipeline, reason: str | None) -> schemas.PipelineSummary:
    body: schemas.PipelineSummary = {
        "name": pipeline.name,
        "description": pipeline.description,
        "inputs": list(pipeline.inputs),
        "steps": list(pipeline.steps),
    }
    if reason:
        body["reason"] = reason
    return body
