"""Replays of captured rows. A replay is a job."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import redis.asyncio

from app.broker import names, submission
from app.broker.fair_share import FairShare
from app.core import callers, traces
from app.core.errors import QueueFull
from app.core.jobs import Job, new_id
from app.core.replays import KIND, LIMIT_S, Replay
from app.services.admission import Admission
from app.services.alias_routes import AliasRoutes
from app.services.captures import absolute
from app.services.jobs import JobService
from app.services.pool_states import PoolStates
from app.services.rate_limits import RateLimits
from app.services.requests.replays import ReplayRequest
from app.settings import Settings


class ReplayService:
    """Submits replays. Captured rows mix owners, so the caller must see all of them."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        settings: Settings,
        routes: AliasRoutes,
        admission: Admission,
        jobs: JobService,
        pools: PoolStates,
        rate_limits: RateLimits,
        fair_share: FairShare,
    ) -> None:
        self._client = client
        self._settings = settings
        self._routes = routes
        self._admission = admission
        self._jobs = jobs
        self._pools = pools
        self._rate_limits = rate_limits
        self._fair_share = fair_share

    async def submit(self, name: str, request: ReplayRequest) -> Job:
        """Submit a replay and return its job.

        Raises:
            KeyRestricted: The caller may not use the model.
            ModelNotFound, VersionNotFound: The model or the version does not exist.
            ModelUnavailable: The version cannot be served.
            QueueFull: The queue or Redis is full.
            PoolDraining: The pool accepts no new work.
            RateLimited: A rate limit of the caller is reached.
        """
        callers.check_model(name)
        manifest = await self._routes.servable(name, request.to)
        callers.check_pool(manifest.pool)
        if reason := self._admission.refusal():
            raise QueueFull(reason)
        self._pools.check(manifest.pool)
        now = datetime.now(UTC)
        since, until = absolute(request.since), absolute(request.until) or now
        assert since is not None
        replay = Replay(name, request.to, request.version or "", since.timestamp(), until.timestamp(), request.limit)
        task = submission.Submission(
            KIND,
            replay.as_dict(),
            names.bulk(manifest.pool),
            id=new_id(time.time()),
            subject=(name, request.to),
            limit_s=LIMIT_S,
            request=replay.as_dict(),
            owner=callers.owner(),
            charge=self._rate_limits.charge(pools=[manifest.pool]),
            model=name,
            trace=traces.begin(),
        )
        id, _ = await submission.submit(self._client, self._settings, task, self._fair_share)
        return await self._jobs.get(id)
