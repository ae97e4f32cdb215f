"""/v1/models/{name}:predict: the protocol of KServe V1 and of TensorFlow Serving."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http import cloud_events
from app.api.http.bodies import JSON
from app.api.http.params import path_model
from app.api.http.reading import v1_event, v1_prediction
from app.api.schemas import v1_predictions as schemas
from app.api.schemas.results import outputs_json, predictions_json
from app.api.server.plain_route import PlainRoute
from app.core.cloud_events import MEDIA_TYPE

# The name of a model has no colon, so the path is unambiguous.
router = APIRouter(prefix="/v1/models", tags=["inference"], route_class=PlainRoute, responses=schemas.ERRORS)
# The commands in the documentation of both send no content type, or that of a form.
_TYPES: Final = (*JSON, "", "application/x-www-form-urlencoded", MEDIA_TYPE)


@router.post("/{name}:predict", **schemas.PREDICT)
@router.post("/{name}/versions/{version}:predict", **schemas.PREDICT_VERSION)
async def predict(request: Request) -> Response:
    """Predicts by the protocol of KServe V1 and of TensorFlow Serving.

    Rows in `instances` are answered with `predictions`, and columns in `inputs` with `outputs`. A request that is a CloudEvent, with headers
    `ce-…` or as `application/cloudevents+json`, is answered with one.
    """
    root = container(request)
    structured, event = cloud_events.structured(request), cloud_events.from_headers(request)
    content = await root.bodies.read(request, types=_TYPES)
    ref = path_model(request)
    manifest = await root.catalog.serving(ref)
    if structured:
        requested, by_column, event = await root.offload.run(len(content), v1_event, content, manifest)
    else:
        requested, by_column = await root.offload.run(len(content), v1_prediction, content, manifest)
    manifest = root.catalog.routed(ref, manifest, requested.inputs)
    response = await root.prediction_responses.predicted(manifest, requested, outputs_json if by_column else predictions_json)
    if event is None:
        return response
    return cloud_events.answered(response, event, manifest, root.settings.event_source, structured=structured)
