"""/livez, /readyz and /metrics of an API process."""

from __future__ import annotations

import os

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, multiprocess
from starlette.responses import Response

from app.api.routes.jobs import answer
from app.api.schemas import server as schemas
from app.api.server.plain_route import PlainRoute
from app.services.jobs import gateway

router = APIRouter(tags=["health"], route_class=PlainRoute)


@router.get("/livez", **schemas.LIVEZ)
async def live(request: Request) -> Response:
    """The process answers, and none of its background loops has stood still for `loop_dead_s`."""
    if still := gateway(request).loops.dead():
        return answer({"ok": False, "detail": still}, 503)
    return answer({"ok": True, "detail": "the process answers"})


@router.get("/readyz", **schemas.READYZ)
async def ready(request: Request) -> Response:
    """Redis answers, this process is not about to stop, and none of its background loops has stood still for `loop_stall_s`. Workers are no condition: jobs can wait for them."""
    here = gateway(request)
    if trouble := await here.trouble():
        return answer({"ok": False, "detail": trouble}, 503)
    found = {"ok": True, "detail": "Redis answers", "workers": len(here.catalogue.workers)}
    # Not ready for a failing item would take every process out of service for it.
    return answer(found | ({"failing": troubles} if (troubles := here.loops.troubles()) else {}))


@router.get("/metrics", **schemas.METRICS)
async def metrics(request: Request) -> Response:
    """Prometheus' text format; of several processes, their sum."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
