"""Pools of workers: their queues, their workers, and what the cluster reports of them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import redis.asyncio

from app.broker import queue_depth
from app.broker.queue_depth import QueueDepth
from app.services.catalog import Catalog
from app.settings import Settings
from app.store.workers import Worker

if TYPE_CHECKING:
    from app.cluster.pools import Pools
    from app.cluster.scaling import Scaling

log = logging.getLogger(__name__)
_OUTSIDE: Final = "The API does not read the cluster, so this shows what Redis knows. Set cluster.read=true in the values of the chart."


@dataclass(frozen=True, slots=True)
class PoolOverview:
    """All pools at one moment.

    Attributes:
        depths: Queue depth by pool.
        workers: The living workers.
        autoscaled: Pools that an autoscaler starts from zero.
        scaling: What the cluster reports by pool, or None if the API does not read it or it does not answer.
        note: Why the cluster reports nothing, or None.
    """

    depths: Mapping[str, QueueDepth]
    workers: Sequence[Worker]
    autoscaled: Collection[str]
    scaling: Mapping[str, Scaling] | None
    note: str | None


class PoolService:
    """The pools that a model names, that a worker belongs to, or that the release has in the cluster."""

    def __init__(self, client: redis.asyncio.Redis, settings: Settings, catalog: Catalog) -> None:
        self._client = client
        self._selector = settings.cluster_selector
        self._catalog = catalog
        self._cluster: Pools | None = None

    async def overview(self) -> PoolOverview:
        """Return all pools, in alphabetical order."""
        scaling, note = await self._ask_cluster()
        pools = sorted(self._catalog.pools() | (scaling or {}).keys())
        depths = await queue_depth.read(self._client, pools)
        return PoolOverview(depths, self._catalog.workers, self._catalog.autoscaled, scaling, note)

    async def _ask_cluster(self) -> tuple[dict[str, Scaling] | None, str | None]:
        if not self._selector:
            return None, _OUTSIDE
        # Imported only if it is used: the client of Kubernetes takes 30 MiB of memory.
        from app.cluster.access import ClusterUnavailable
        from app.cluster.pools import Pools

        try:
            if self._cluster is None:
                self._cluster = Pools(self._selector)
            return await self._cluster.look(), None
        except ClusterUnavailable as error:
            log.warning("/v1/pools without the cluster: %s", error)
            return None, f"{error}. This shows what Redis knows."
