"""/ping and /invocations: the contract of MLflow's scoring server, which SageMaker and, with paths of its own, Vertex AI use."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http.bodies import JSON
from app.api.http.headers import charset, header, media_type
from app.api.http.params import path_model
from app.api.http.reading import invocation, table
from app.api.http.responses import json_response
from app.api.schemas import invocations as schemas
from app.api.schemas.results import predictions_json
from app.api.schemas.server import Health
from app.api.server.plain_route import PlainRoute
from app.core.errors import ModelNotFound, UnsupportedMediaType, shown
from app.core.models import ModelRef
from app.core.prediction_requests import PredictionRequest

router = APIRouter(tags=["invocations"], route_class=PlainRoute, responses=schemas.ERRORS)
_CSV: Final = "text/csv"
_CUSTOM_ATTRIBUTES: Final = b"x-amzn-sagemaker-custom-attributes"


@router.get("/ping", **schemas.PING)
async def ping(request: Request) -> Response:
    """Reports whether a prediction would be answered.

    Redis answers, and a worker is alive or is started for the first request.
    """
    root = container(request)
    obstacle = await root.readiness.obstacle() or ("" if root.catalog.can_predict else "No worker is alive.")
    return json_response(Health(ok=not obstacle, detail=obstacle or "Redis and a worker answer."), 503 if obstacle else 200)


@router.post("/invocations", **schemas.INVOCATIONS)
async def invocations(request: Request) -> Response:
    """Predicts with the default model of the server.

    `CELERIAC_DEFAULT_MODEL` names it. The body is JSON in one of the four forms of MLflow, or CSV with the names of the columns in its first line.
    """
    default = container(request).settings.default_model
    if not default:
        raise ModelNotFound(
            "This server has no default model. Set CELERIAC_DEFAULT_MODEL to a model, or send the request to /models/NAME/invocations."
        )
    return await _invoke(request, ModelRef.parse(default))


@router.post("/models/{name}/invocations", **schemas.MODEL_INVOCATIONS)
async def model_invocations(request: Request) -> Response:
    """Predicts with the model that the path names, by the same contract as /invocations."""
    return await _invoke(request, path_model(request))


async def _invoke(request: Request, ref: ModelRef) -> Response:
    root = container(request)
    if charset(request) not in ("utf-8", "utf8"):
        raise UnsupportedMediaType(f"Unsupported charset {shown(charset(request))}. Send the body in UTF-8.")
    content = await root.bodies.read(request, types=(*JSON, _CSV))
    manifest = await root.catalog.serving(ref)
    if media_type(request) == _CSV:
        requested = PredictionRequest.of(manifest, await root.offload.run_apart(table, content, _CSV, {}, None, manifest))
    else:
        requested = await root.offload.run(len(content), invocation, content, manifest)
    manifest = root.catalog.routed(ref, manifest, requested.inputs)
    response = await root.prediction_responses.predicted(manifest, requested, predictions_json)
    if attributes := header(request, _CUSTOM_ATTRIBUTES):
        response.raw_headers.append((_CUSTOM_ATTRIBUTES, attributes.encode("latin-1")))
    return response
