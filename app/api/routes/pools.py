"""/v1/pools: how much work each pool has, how many workers, and what keeps it from growing."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http.responses import json_response
from app.api.schemas import pools as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.services.pools import PoolOverview

router = APIRouter(prefix="/v1/pools", tags=["pools"], route_class=PlainRoute, responses=PROBLEMS)


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Lists every pool that a model names, that a worker belongs to, or that the release has in the cluster."""
    overview = await container(request).pools.overview()
    return json_response(schemas.Pools(items=[present(pool, overview) for pool in overview.depths], note=overview.note))


def present(pool: str, overview: PoolOverview) -> schemas.Pool:
    """Return one pool as JSON types."""
    workers = [worker for worker in overview.workers if worker.pool == pool]
    obstacles: list[str] = []
    scaling: schemas.PoolScaling | None = None
    if overview.scaling is not None and pool in overview.scaling:
        reported = overview.scaling[pool]
        # A pod that is terminating may not have signed off yet, or was killed before it could.
        workers = [worker for worker in workers if worker.host not in reported.leaving]
        event = reported.last_event
        scaling = {
            "wanted": reported.wanted,
            "ready": reported.ready,
            "minimum": reported.minimum,
            "maximum": reported.maximum,
            "last_event": {"at": event.at, "reason": event.reason, "message": event.message} if event else None,
        }
        obstacles = reported.obstacles
    elif overview.scaling is not None:
        obstacles = [f"The release has no such pool, although a model names it. Set pools.{pool} in the chart's values."]
    elif not workers and pool not in overview.autoscaled:
        obstacles = [f"No worker of this pool is alive. Start one with CELERIAC_POOL={pool}."]
    depth = overview.depths[pool]
    return {
        "pool": pool,
        "waiting": {"interactive": depth.interactive, "bulk": depth.bulk},
        "running": depth.running,
        "workers": len(workers),
        "processes": sum(worker.processes for worker in workers),
        "scaling": scaling,
        "obstacles": obstacles,
    }
