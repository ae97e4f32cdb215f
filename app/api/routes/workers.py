"""/v1/workers: the workers that are alive, what they serve, and what their processes run."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http.responses import json_response
from app.api.schemas import workers as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.core import callers
from app.core.running import RunningDelivery
from app.core.timestamps import rfc3339
from app.services.workers import WorkerOverview

router = APIRouter(prefix="/v1/workers", tags=["workers"], route_class=PlainRoute, responses=PROBLEMS)


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Lists every worker that is alive, what it serves, and what processes run now."""
    overview = await container(request).workers.overview()
    running = [_running(delivery) for delivery in overview.running]
    return json_response(schemas.Workers(items=_workers(overview), running=running, complete=overview.complete))


def _workers(overview: WorkerOverview) -> list[schemas.Worker]:
    return [
        {
            "name": worker.name,
            "pool": worker.pool,
            "host": worker.host,
            "processes": worker.processes,
            "ready": ["@".join(version) for version in worker.ready],
            "loading": ["@".join(version) for version in worker.loading],
            "refused": [{"version": f"{name}@{version}", "reason": reason} for name, version, reason in worker.refused],
            "start_s": round(worker.start_s, 3),
            "seen_at": rfc3339(worker.seen_at),
        }
        for worker in overview.workers
    ]


def _running(delivery: RunningDelivery) -> schemas.RunningDelivery:
    head = delivery.head
    body: schemas.RunningDelivery = {
        "process": delivery.process,
        "pool": head.pool,
        "job": callers.shown_id(delivery.job),
        "jobs": delivery.jobs,
        "started_at": rfc3339(delivery.began),
    }
    if head.kind:
        body["kind"] = head.kind
    if head.model:
        body["model"], body["version"] = head.model, head.version
    return body
