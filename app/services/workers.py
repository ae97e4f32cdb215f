"""The workers that are alive, and what their processes run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.broker import names
from app.core.running import RunningDelivery
from app.services.catalog import Catalog
from app.settings import Settings
from app.store import running, workers
from app.store.workers import Worker

if TYPE_CHECKING:
    from redis.asyncio import Redis


@dataclass(frozen=True, slots=True)
class WorkerOverview:
    """All workers at one moment. `complete` says whether `running` has all running deliveries with records."""

    workers: list[Worker]
    running: list[RunningDelivery]
    complete: bool


class WorkerService:
    """The workers of the platform."""

    def __init__(self, client: Redis, settings: Settings, catalog: Catalog) -> None:
        self._client = client
        self._settings = settings
        self._catalog = catalog

    async def overview(self) -> WorkerOverview:
        """Return the workers with a recent heartbeat, by pool and name, and what their processes run, the longest first."""
        living = await workers.read(self._client)
        pools = self._catalog.pools() | {self._settings.training_pool} | {worker.pool for worker in living}
        deliveries, complete = await running.read(self._client, [queue for pool in sorted(pools) for queue in names.queues(pool)])
        return WorkerOverview(sorted(living, key=lambda worker: (worker.pool, worker.name)), deliveries, complete)
