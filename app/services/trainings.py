"""Trainings: from a table to a new version of a model. A training is a job."""

from __future__ import annotations

import asyncio
import time

import redis.asyncio

from app.broker import names, submission
from app.broker.fair_share import FairShare
from app.core import callers, traces
from app.core.errors import JobNotFound, QueueFull, QuotaExceeded, RateLimited
from app.core.jobs import Job, State, new_id
from app.core.trainings import KIND, Bounds, Training
from app.core.webhooks import JobWebhook
from app.services.admission import Admission
from app.services.catalog import Catalog
from app.services.identity import JobIdentity
from app.services.jobs import JobService
from app.services.pool_states import PoolStates
from app.services.rate_limits import RateLimits
from app.services.requests import trainings as requests
from app.services.requests.webhooks import job_webhook
from app.settings import Settings
from app.store import jobs, sources, trainings


class TrainingService:
    """The trainings of the platform."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        settings: Settings,
        catalog: Catalog,
        admission: Admission,
        job_service: JobService,
        pools: PoolStates,
        rate_limits: RateLimits,
        fair_share: FairShare,
    ) -> None:
        self._client = client
        self._settings = settings
        self._catalog = catalog
        self._admission = admission
        self._jobs = job_service
        self._pools = pools
        self._rate_limits = rate_limits
        self._fair_share = fair_share

    def parse(self, request: requests.Training) -> tuple[Training, JobWebhook | None]:
        """Return the training that a request describes, and its webhook.

        Raises:
            InvalidInput: A field is invalid.
            KeyRestricted: The caller may not use the model or the pool.
        """
        settings = self._settings
        custom = bool(settings.imports.strip())
        bounds = Bounds(settings.training_pool, settings.training_time_limit_s, settings.training_max_fits, custom=custom)
        training = request.checked(bounds)
        callers.check_model(training.model)
        callers.check_pool(training.pool)
        return training, job_webhook(request.webhook, settings)

    async def submit(self, request: requests.Training, identity: JobIdentity | None) -> Job:
        """Submit a training and return its job, or the job of the first request if this one repeats it.

        Raises:
            InvalidInput: A field is invalid.
            FileNotFound: The dataset does not exist.
            QueueFull: The queue or Redis is full.
            PoolDraining: The pool accepts no new work.
            RateLimited: A rate limit of the caller is reached.
            QuotaExceeded: The owner has as many open jobs, or has used as many run seconds, as it may.
            CeleriacError: The conflict of `identity`.
        """
        training, webhook = self.parse(request)
        await asyncio.to_thread(_check_dataset, training)
        id, fingerprint = (identity.id, identity.fingerprint) if identity else (new_id(time.time()), "")
        new = await self.begin(training, id=id, fingerprint=fingerprint, webhook=webhook)
        job = await self._jobs.get(id)
        if identity and not new and job.fingerprint != fingerprint:
            raise identity.conflict
        return job

    async def begin(self, training: Training, *, id: str, fingerprint: str = "", webhook: JobWebhook | None = None) -> bool:
        """Submit a training of the caller's owner under an ID. Returns False if a job with this ID exists already.

        Raises:
            QueueFull: The queue or Redis is full.
            PoolDraining: The pool accepts no new work.
            RateLimited: A rate limit of the caller is reached.
        """
        if (reason := self._admission.refusal()) and await jobs.read(self._client, id, whole=False) is None:
            raise QueueFull(reason)
        if self._pools.refusal(training.pool) and await jobs.read(self._client, id, whole=False) is None:
            self._pools.check(training.pool)
        owner = callers.owner()
        charge = self._rate_limits.charge(pools=[training.pool])
        await trainings.add(self._client, id, owner)
        spec = training.as_dict()
        job = submission.Submission(
            KIND,
            spec,
            names.bulk(training.pool),
            id=id,
            subject=(training.model, ""),
            limit_s=training.time_limit_s,
            fingerprint=fingerprint,
            request={name: value for name, value in spec.items() if value not in ({}, [], None)},
            webhook=webhook,
            owner=owner,
            charge=charge,
            trace=traces.begin(),
        )
        try:
            _, new = await submission.submit(self._client, self._settings, job, self._fair_share)
        except (QueueFull, RateLimited, QuotaExceeded):
            await trainings.remove(self._client, id, owner)
            raise
        await trainings.trim(self._client, self._settings.max_trainings, owner)
        return new

    async def get(self, id: str) -> Job:
        """Return the job of a training.

        Raises:
            JobNotFound: The job does not exist, or it is not a training.
        """
        job = await self._jobs.get(id)
        if job.work != KIND:
            raise JobNotFound(f"Job {id!r} is not a training. Read it at /v1/jobs/{id}.")
        return job

    async def page(self, cursor: str | None, limit: int, *, state: str | None, model: str | None) -> tuple[list[Job], str | None]:
        """Return the newest trainings after a cursor that the caller sees, and the cursor of the next page. Raises ValueError for an invalid cursor."""

        def matches(job: Job) -> bool:
            return job.work == KIND and state in (None, job.state) and model in (None, job.model) and callers.sees(job.owner)

        return await trainings.page(self._client, matches, cursor, limit, callers.only_owner())

    def missing_worker(self, job: Job) -> str | None:
        """Return what a queued training waits for, if no worker of its pool is alive."""
        pool = names.pool_of(job.queue)
        if job.state is not State.QUEUED or self._catalog.living(pool):
            return None
        return f"No worker of pool {pool!r} is running. Start one, for example with `celeriac up --training`."


def _check_dataset(training: Training) -> None:
    """Raise FileNotFound or InvalidInput at once, and not only when a worker has the training."""
    source = sources.parse(training.dataset, "/dataset")
    if not source.url:
        with sources.reading(source, "/dataset"):
            return
