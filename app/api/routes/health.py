"""/livez, /readyz and /metrics of an API process."""

from __future__ import annotations

import os

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, multiprocess
from starlette.responses import Response

from app.api.container import container
from app.api.http.responses import json_response
from app.api.schemas import server as schemas
from app.api.server.plain_route import PlainRoute

router = APIRouter(tags=["health"], route_class=PlainRoute)


@router.get("/livez", **schemas.LIVEZ)
async def live(request: Request) -> Response:
    """Reports whether the process is alive. A background loop that has stood still for `loop_dead_s` makes it fail."""
    if dead := container(request).loops.dead():
        return json_response(schemas.Health(ok=False, detail=dead), 503)
    return json_response(schemas.Health(ok=True, detail="The process answers."))


@router.get("/readyz", **schemas.READYZ)
async def ready(request: Request) -> Response:
    """Reports whether the process should receive requests.

    Redis answers, the process is not shutting down, and none of its background loops has stood still for `loop_stall_s`. Workers are
    not required, because jobs can wait for them.
    """
    root = container(request)
    if obstacle := await root.readiness.obstacle():
        return json_response(schemas.Health(ok=False, detail=obstacle), 503)
    body = schemas.Health(ok=True, detail="Redis answers.", workers=len(root.catalog.workers))
    # A failing item must not make the process unready, because it would fail in every process.
    if troubles := root.loops.troubles():
        body["failing"] = troubles
    return json_response(body)


@router.get("/metrics", **schemas.METRICS)
async def metrics(request: Request) -> Response:
    """Returns metrics in the text format of Prometheus, added up over all processes."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
