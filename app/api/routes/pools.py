"""/v1/pools: how much work each pool has, how many workers, what keeps it from growing, and whether it is paused or draining."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http.bodies import JSON
from app.api.http.responses import json_response
from app.api.schemas import pools as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.core.pools import PoolMode, PoolState
from app.core.timestamps import rfc3339
from app.services.pool_demand import PoolDemand
from app.services.pools import PoolOverview
from app.services.requests.pools import StateChange

router = APIRouter(prefix="/v1/pools", tags=["pools"], route_class=PlainRoute, responses=PROBLEMS)
_TYPES: Final = (*JSON, "")


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Lists every pool that a model names, that a worker belongs to, or that the release has in the cluster."""
    overview = await container(request).pools.overview()
    return json_response(schemas.Pools(items=[present(pool, overview) for pool in overview.depths], note=overview.note))


@router.get("/{name}/wanted", **schemas.WANTED)
async def wanted(request: Request) -> Response:
    """Returns how many processes a pool needs to start its jobs within the promised time.

    `CELERIAC_POOL_SLO` sets the time, and KEDA reads the answer. It is at most a second old. A pool without work wants 0, and so
    does one that no model and no worker names yet.
    """
    name = request.path_params["name"]
    return json_response(schemas.PoolWanted(pool=name, **_demand(await container(request).pools.demand(name))))


@router.post("/{name}/pause", **schemas.PAUSE)
async def pause(request: Request) -> Response:
    """Pauses a pool. Within two seconds of the response, its workers stop taking work. They complete what runs.

    Jobs are accepted and wait, until the pool is resumed or their deadlines pass. A pool that drains becomes a paused one.
    """
    root, name = container(request), request.path_params["name"]
    change = StateChange.parse(await root.bodies.read_optional(request, _TYPES))
    return json_response(_state(name, await root.pools.pause(name, change.reason)))


@router.post("/{name}/drain", **schemas.DRAIN)
async def drain(request: Request) -> Response:
    """Drains a pool. New work is refused with `pool_draining` until it is resumed, and what was accepted before is completed.

    The chunks of a batch and the steps of a pipeline run that was accepted before are completed, too. A pool that is paused becomes a
    draining one, and runs again.
    """
    root, name = container(request), request.path_params["name"]
    change = StateChange.parse(await root.bodies.read_optional(request, _TYPES))
    return json_response(_state(name, await root.pools.drain(name, change.reason)))


@router.post("/{name}/resume", **schemas.RESUME)
async def resume(request: Request) -> Response:
    """Resumes a pool that is paused or draining. An active pool stays unchanged."""
    name = request.path_params["name"]
    await container(request).pools.resume(name)
    return json_response(_state(name, None))


def _state(pool: str, state: PoolState | None) -> schemas.PoolState:
    return {
        "pool": pool,
        "state": state.mode if state else PoolMode.ACTIVE,
        "since": rfc3339(state.since) if state else None,
        "by": {"id": state.key_id, "name": state.key_name} if state and state.key_id else None,
        "reason": (state.reason or None) if state else None,
    }


def _demand(read: PoolDemand) -> schemas.Demand:
    work, result = read.demand, read.wanted
    return {
        "wanted": result.processes,
        "pods": result.pods,
        "slo_s": read.promise.slo_s if read.promise else None,
        "arrival_rate": round(work.arrival_rate, 4),
        "waiting_work_s": round(work.waiting_work_s, 4),
        "oldest_wait_s": round(work.oldest_wait_s, 3),
        "wait_p95_s": None if read.wait_p95_s is None else round(read.wait_p95_s, 4),
        "start_s": read.capacity.start_s,
        "reasons": list(result.reasons),
    }


def present(pool: str, overview: PoolOverview) -> schemas.Pool:
    """Return one pool as JSON types."""
    workers = overview.workers_of(pool)
    scaling: schemas.PoolScaling | None = None
    if overview.scaling is not None and pool in overview.scaling:
        reported = overview.scaling[pool]
        event = reported.last_event
        scaling = {
            "wanted": reported.wanted,
            "ready": reported.ready,
            "minimum": reported.minimum,
            "maximum": reported.maximum,
            "last_event": {"at": event.at, "reason": event.reason, "message": event.message} if event else None,
        }
    depth, state = overview.depths[pool], overview.states.get(pool)
    return {
        **_state(pool, state),
        "waiting": {"priority": depth.priority, "interactive": depth.interactive, "bulk": depth.bulk, "flex": depth.flex},
        "held_back": overview.held_back[pool],
        "running": depth.running,
        "workers": len(workers),
        "processes": sum(worker.processes for worker in workers),
        "demand": _demand(overview.demand[pool]),
        "scaling": scaling,
        "obstacles": overview.obstacles(pool),
    }
