"""/v1/embeddings: the endpoint of OpenAI's API, so that its SDK and what is built on it work."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http.reading import embedding
from app.api.schemas import embeddings as schemas
from app.api.schemas.results import embeddings_json
from app.api.server.plain_route import PlainRoute

router = APIRouter(prefix="/v1/embeddings", tags=["inference"], route_class=PlainRoute, responses=schemas.ERRORS)


@router.post("", **schemas.CREATE)
async def create(request: Request) -> Response:
    """Embeds texts by the API of OpenAI, with a model that takes a text and returns a vector."""
    root = container(request)
    content = await root.bodies.read(request)
    body = await root.offload.run(len(content), embedding, content)
    manifest = await root.catalog.serving(body.model)
    requested = body.requested(manifest)
    manifest = root.catalog.routed(body.model, manifest, requested.inputs)
    model = f"{manifest.name}@{manifest.version}"
    return await root.prediction_responses.predicted(manifest, requested, embeddings_json, model, body.encoding_format)
