"""/v1/pools: how much work each pool has, how many workers, and what keeps it from growing."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.routes.jobs import answer
from app.api.schemas import pools as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.broker import queue_depth
from app.services.jobs import gateway
from app.store.workers import Worker

if TYPE_CHECKING:
    from app.cluster.pools import Pools
    from app.cluster.scaling import Scaling

log = logging.getLogger(__name__)
router = APIRouter(prefix="/v1/pools", tags=["pools"], route_class=PlainRoute, responses=PROBLEMS)
_OUTSIDE: Final = "no cluster is asked: this is what Redis shows (api.readCluster in the chart's values lets the API ask)"


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Every pool that a model names, that a worker belongs to, or that the release has in the cluster."""
    here = gateway(request)
    seen, note = await _look(here.settings.cluster_selector)
    pools = sorted(here.catalogue.pools() | (seen or {}).keys())
    loads = await queue_depth.read(here.redis, pools)
    workers, autoscaled = here.catalogue.workers, here.catalogue.autoscaled
    return answer({"items": [present(pool, workers, loads[pool], seen, autoscaled) for pool in pools], "note": note})


def present(
    pool: str, workers: Iterable[Worker], work: queue_depth.QueueDepth, seen: Mapping[str, Scaling] | None, autoscaled: Collection[str]
) -> dict[str, Any]:
    """One pool as JSON. `seen` is what the cluster reports of each pool, None outside a cluster."""
    living = [worker for worker in workers if worker.pool == pool]
    obstacles, scaled = [], None
    if seen is not None and pool in seen:
        # A pod that is terminating may not have signed off yet, or was killed before it could.
        leaving = seen[pool].leaving
        living = [worker for worker in living if worker.host not in leaving]
        scaled = {name: value for name, value in asdict(seen[pool]).items() if name not in ("leaving", "obstacles")}
        obstacles = seen[pool].obstacles
    elif seen is not None:
        obstacles = [f"the release has no such pool, though a model names it: set pools.{pool} in the chart's values"]
    elif not living and pool not in autoscaled:
        obstacles = [f"no worker of this pool lives: start one with CELERIAC_POOL={pool}"]
    return {
        "pool": pool,
        "waiting": {"interactive": work.interactive, "bulk": work.bulk},
        "running": work.running,
        "workers": len(living),
        "processes": sum(worker.processes for worker in living),
        "scaling": scaled,
        "obstacles": obstacles,
    }


async def _look(selector: str) -> tuple[dict[str, Scaling] | None, str | None]:
    """What the cluster says, or why it says nothing."""
    if not selector:
        return None, _OUTSIDE
    from app.cluster.access import ClusterUnavailable

    try:
        return await _cluster(selector).look(), None
    except ClusterUnavailable as error:
        log.warning("/v1/pools without the cluster: %s", error)
        return None, f"{error}; this is what Redis shows"


@cache
def _cluster(selector: str) -> Pools:
    # Only where somebody asks: the client takes 30 MiB of memory.
    from app.cluster.pools import Pools

    return Pools(selector)
