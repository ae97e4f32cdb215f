"""Pools of workers: their queues and workers, what the cluster reports of them, and how they are paused, drained and resumed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import redis.asyncio
from redis.exceptions import RedisError

from app import metrics
from app.broker import names as queues
from app.broker import queue_depth
from app.broker.queue_depth import QueueDepth
from app.broker.replies import Replies
from app.core import audit, callers
from app.core.audit import Action, Target
from app.core.errors import PoolNotFound, shown
from app.core.models import POOL
from app.core.pools import PoolMode, PoolState
from app.loops import IDLE_S, Loop
from app.services.catalog import Catalog
from app.services.pool_demand import UNNAMED, PoolDemand, PoolDemands
from app.services.pool_states import PoolStates
from app.settings import Settings
from app.store import concurrency, keys, pools
from app.store.workers import Worker

if TYPE_CHECKING:
    from app.cluster.pools import Pools
    from app.cluster.scaling import Scaling

log = logging.getLogger(__name__)
_REFRESH_S: Final = 1.0
_MEASURE_S: Final = 5.0
"""Seconds between two measurements of pools with a promise, for the metrics."""
_ACTIONS: Final = {PoolMode.PAUSED: Action.POOL_PAUSED, PoolMode.DRAINING: Action.POOL_DRAINED, PoolMode.ACTIVE: Action.POOL_RESUMED}
_OUTSIDE: Final = "The API does not read the cluster, so this shows what Redis knows. Set cluster.read=true in the values of the chart."


@dataclass(frozen=True, slots=True)
class PoolOverview:
    """All pools at one moment.

    Attributes:
        depths: Queue depth by pool.
        held_back: Deliveries that wait for a slot of their concurrency key, by pool.
        states: The state of each pool that is paused or draining.
        workers: The living workers.
        autoscaled: Pools that an autoscaler starts from zero.
        scaling: What the cluster reports by pool, or None if the API does not read it or it does not answer.
        note: Why the cluster reports nothing, or None.
        demand: What each pool has to do and wants.
    """

    depths: Mapping[str, QueueDepth]
    held_back: Mapping[str, int]
    states: Mapping[str, PoolState]
    workers: Sequence[Worker]
    autoscaled: Collection[str]
    scaling: Mapping[str, Scaling] | None
    note: str | None
    demand: Mapping[str, PoolDemand]

    def workers_of(self, pool: str) -> list[Worker]:
        """Return the living workers of a pool."""
        workers = [worker for worker in self.workers if worker.pool == pool]
        if self.scaling is None or pool not in self.scaling:
            return workers
        # A pod that is terminating may not have signed off yet, or was killed before it could.
        return [worker for worker in workers if worker.host not in self.scaling[pool].leaving]

    def obstacles(self, pool: str) -> list[str]:
        """Return reasons why a pool does not work or grow, in sentences."""
        state = self.states.get(pool)
        obstacles = [] if state is None else [state.describe(pool)]
        if self.scaling is not None and pool in self.scaling:
            return [*obstacles, *self.scaling[pool].obstacles]
        if self.scaling is not None:
            return [*obstacles, f"The release has no such pool, although a model names it. Set pools.{pool} in the chart's values."]
        if not self.workers_of(pool) and pool not in self.autoscaled:
            obstacles.append(f"No worker of pool {pool!r} is alive. Start one with CELERIAC_POOL={pool}.")
        return obstacles


class PoolService:
    """The pools that a model names, that a worker belongs to, or that the release has in the cluster."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        settings: Settings,
        catalog: Catalog,
        states: PoolStates,
        replies: Replies,
        demands: PoolDemands,
        loop: Loop,
    ) -> None:
        self._client = client
        self._selector = settings.cluster_selector
        self._training_pool = settings.training_pool
        self._catalog = catalog
        self._states = states
        self._replies = replies
        self._demands = demands
        self._loop = loop
        self._measure_at = time.monotonic() + _MEASURE_S
        self._measured: set[str] = set()
        self._read_again_at = 0.0
        self._cluster: Pools | None = None

    async def start(self) -> None:
        """Read which pools are paused or draining. If Redis does not answer, the loop does it later."""
        with contextlib.suppress(RedisError, OSError):
            await self._states.refresh()

    async def run(self) -> None:
        """Follow the states of pools until the task is cancelled."""
        async with self._replies.listen(keys.POOLS_CHANGED) as changed:
            await self._loop.run(partial(self._turn, changed))

    async def _turn(self, changed: asyncio.Event) -> float:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), _REFRESH_S)
        if changed.is_set() or time.monotonic() >= self._read_again_at:
            changed.clear()
            self._read_again_at = 0.0
            await self._states.refresh()
            self._read_again_at = time.monotonic() + IDLE_S
        self._measured |= self._names()
        for pool in self._measured:
            metrics.POOL_PAUSED.labels(pool).set(self._states.paused(pool) is not None)
        if time.monotonic() >= self._measure_at:
            self._measure_at = time.monotonic() + _MEASURE_S
            for pool in self._demands.promised:
                with self._loop.item(f"the demand of the pool {pool}"):
                    await self.demand(pool)
        return 0.0

    async def overview(self) -> PoolOverview:
        """Return all pools, in alphabetical order."""
        scaling, note = await self._ask_cluster()
        states = self._states.states
        names = sorted(self._catalog.pools() | (scaling or {}).keys() | states.keys())
        depths = await queue_depth.read(self._client, names)
        held_back = {pool: sum(await concurrency.held_back(self._client, queues.queues(pool))) for pool in names}
        demand = {pool: await self._demand(pool, (scaling or {}).get(pool)) for pool in names}
        return PoolOverview(depths, held_back, states, self._catalog.workers, self._catalog.autoscaled, scaling, note, demand)

    async def demand(self, pool: str) -> PoolDemand:
        """Return what a pool has to do and how many processes it wants.

        A scaler may ask before the first model or worker names the pool.

        Raises:
            PoolNotFound: No pool can have the name.
            KeyRestricted: The caller may not use the pool.
        """
        if not POOL.fullmatch(pool):
            raise PoolNotFound(f"Pool {shown(pool)} does not exist. Names of pools have lowercase letters, digits and -, for example gpu.")
        callers.check_pool(pool)
        if pool not in self._names() and pool not in self._demands.promised:
            return UNNAMED
        scaling, _ = await self._ask_cluster()
        return await self._demand(pool, (scaling or {}).get(pool))

    async def _demand(self, pool: str, scaling: Scaling | None) -> PoolDemand:
        leaving = scaling.leaving if scaling else ()
        workers = [worker for worker in self._catalog.workers if worker.pool == pool and worker.host not in leaving]
        starting = max(0, scaling.wanted - scaling.ready) if scaling else 0
        return await self._demands.read(pool, workers, starting, self._states.states.get(pool))

    async def pause(self, pool: str, reason: str) -> PoolState:
        """Let the workers of a pool take no more deliveries. They complete what runs.

        Args:
            pool: Name of the pool.
            reason: Why, in the words of the caller. May be empty.

        Raises:
            PoolNotFound: No model and no worker names the pool.
            KeyRestricted: The caller may not use the pool.
        """
        return await self._change(pool, PoolMode.PAUSED, reason)

    async def drain(self, pool: str, reason: str) -> PoolState:
        """Accept no new work for a pool. Its workers complete what was accepted before. Takes and raises the same as `pause`."""
        return await self._change(pool, PoolMode.DRAINING, reason)

    async def resume(self, pool: str) -> None:
        """Let a pool accept and run work again. Raises the errors of `pause`."""
        await self._check(pool)
        await self._write(pool, None)

    async def _change(self, pool: str, mode: PoolMode, reason: str) -> PoolState:
        """Change the state of a pool. A pool that is in it already keeps the time since when it is, and its reason if none is given."""
        await self._check(pool)
        before = self._states.states.get(pool)
        if before is not None and before.mode is mode and reason in ("", before.reason):
            return before
        caller = callers.CALLER.get()
        since = before.since if before is not None and before.mode is mode else time.time()
        state = PoolState(mode, since, caller.id if caller else "", caller.name if caller else "", reason)
        await self._write(pool, state)
        return state

    async def _check(self, pool: str) -> None:
        """Refresh the states, and check that the caller may use the pool and that it exists."""
        callers.check_pool(pool)
        await self._states.refresh()
        names = self._names()
        if pool not in names:
            raise PoolNotFound(f"Pool {shown(pool)} does not exist: no model and no worker names it. Pools: {', '.join(sorted(names))}.")

    def _names(self) -> set[str]:
        """Return the pools that can be paused. One that is paused stays among them, so that it can be resumed."""
        return self._catalog.pools() | {self._training_pool} | self._states.states.keys()

    async def _write(self, pool: str, state: PoolState | None) -> None:
        mode = PoolMode.ACTIVE if state is None else state.mode
        before = self._states.states.get(pool)
        entry = audit.draft(
            _ACTIONS[mode],
            Target("pool", pool),
            before={"state": before.mode if before else PoolMode.ACTIVE},
            after={"state": mode, "reason": state.reason if state else ""},
        )
        await pools.write(self._client, pool, state, entry)
        # The other processes are notified. This one must not accept work for a draining pool after its response.
        await self._states.refresh()

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
