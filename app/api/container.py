"""The composition root: every object of an API process, and who receives it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from redis.exceptions import RedisError
from starlette.requests import Request

from app import metrics
from app.api.http.bodies import Bodies
from app.api.http.job_responses import JobResponses
from app.api.http.offload import Offload
from app.api.http.open_inference import OpenInference
from app.api.http.prediction_responses import PredictionResponses
from app.api.schemas.serializers import present, present_batch
from app.api.server.access_control import AccessControl
from app.api.server.readiness import Readiness
from app.broker.batcher.batcher import Batcher
from app.broker.batcher.traces import Traces
from app.broker.batches import BatchReconciler
from app.broker.eta import StartEstimate
from app.broker.fair_share import FairShare
from app.broker.maintenance import Maintenance
from app.broker.model_changes import notify
from app.broker.pipelines import PipelineReconciler
from app.broker.reconciler import Reconciler
from app.broker.replies import Replies
from app.core.bulk_actions import PARENT as BULK
from app.core.captured_jobs import CaptureBuffer
from app.core.jobs import new_id
from app.core.metering import UsageCollector
from app.core.observations import Observations
from app.core.pipelines import PIPELINE
from app.core.schedules import PARENT
from app.core.stats import Collector
from app.direct.lane import DirectLane
from app.direct.marks import Marks
from app.direct.observing import EVERY_S, ObservationRecorder
from app.hooks.fanout import Presenters
from app.hooks.sender import Sender
from app.loops import IDLE_S, Loops
from app.pauses import Pauses
from app.registry.opening import open_pipelines, open_repository
from app.registry.repository import Repository
from app.services.admission import Admission
from app.services.alias_routes import AliasRoutes
from app.services.api_keys import ApiKeyService
from app.services.api_keys_file import ApiKeysFile
from app.services.audit import AuditService
from app.services.authentication import Authentication
from app.services.batch_requests import BatchRequests
from app.services.batches import BatchService
from app.services.bulk_actions import BulkActionService
from app.services.capture_recorder import LOOK_S, CaptureRecorder
from app.services.captures import CaptureService
from app.services.catalog import Catalog
from app.services.console_sessions import ConsoleSessions
from app.services.dead_letters import DeadLetterService
from app.services.diagnosis import DiagnosisService
from app.services.direct_versions import DirectVersions
from app.services.drift import DriftService
from app.services.drift_watch import DRIFT_S, DriftWatch
from app.services.failed_authentications import FailedAuthentications
from app.services.feedback import FeedbackService
from app.services.files import FileService
from app.services.holds import Holds
from app.services.jobs import JobService
from app.services.limits import LimitService
from app.services.metering import UsageRecorder
from app.services.model_pauses import ModelPauses
from app.services.model_uploads import ModelUploads
from app.services.models import ModelService
from app.services.pipelines import PipelineService
from app.services.pool_demand import PoolDemands
from app.services.pool_states import PoolStates
from app.services.pools import PoolService
from app.services.predictions import PredictionService
from app.services.quality_watch import TURN_S, QualityWatch
from app.services.rate_limits import RateLimits
from app.services.refusals import Refusals
from app.services.replays import ReplayService
from app.services.rollout_steps import STEP_CHECK_S, RolloutSteps
from app.services.rollouts import RolloutService
from app.services.schedule_targets import BatchTarget, PipelineTarget, TrainingTarget
from app.services.schedules import ScheduleService
from app.services.shadows import ShadowService
from app.services.stats import StatsRecorder, StatsService
from app.services.trainings import TrainingService
from app.services.usage import UsageService
from app.services.webhooks import WebhookService
from app.services.workers import WorkerService
from app.settings import Settings, names
from app.store import keys, owners
from app.store.quarantine import Quarantine
from app.store.redis.client import connect_async
from app.store.stats import SeriesIndex
from app.tracing.ended import EndedTraces
from app.tracing.environment import sampling
from app.tracing.exporter import connect

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from app.services.identity_tokens import IdentityTokens
    from app.services.model_mirror import ModelMirror
    from app.services.sign_ins import SignIns

log = logging.getLogger(__name__)


class _BackgroundLoop(Protocol):
    """A background loop."""

    async def run(self) -> None:
        """Run until the task is cancelled."""


class Container:
    """Everything that one API process holds. One event loop uses it."""

    def __init__(self, settings: Settings) -> None:
        process, redis = new_id(time.time()), connect_async()
        self.settings = settings
        self.sampling = sampling(settings)
        self._exporter = connect(settings.trace_max_queue, settings.trace_shutdown_s) if self.sampling else None
        export = self._exporter.export if self._exporter else None
        traced = Traces(export) if export else None
        self._redis = redis
        self.quarantine = quarantine = Quarantine(redis, settings)
        self.loops = loops = Loops(settings.loop_stall_s, settings.loop_dead_s, quarantine.suspect)
        repository = open_repository(settings, notify)
        pipelines = open_pipelines(settings, repository)

        # The batcher needs the catalog, which is notified over the same connection as the batcher.
        replies = Replies(redis, process, lambda *reply: batcher.finish(*reply), loops.add("replies"))
        self.catalog = catalog = Catalog(repository, redis, replies, names(settings.autoscaled_pools), loops.add("catalogue"))
        fair_share, rate_limits = FairShare(settings, catalog.slots), RateLimits(settings)
        self.maintenance = Maintenance(
            redis,
            process,
            settings,
            lambda: catalog.pools() | {settings.training_pool},
            quarantine,
            fair_share,
            rate_limits.any,
            catalog.slots,
            loops.add("maintenance"),
        )
        self.admission = admission = Admission(settings, self.maintenance, loops)
        self.readiness = Readiness(redis, admission, loops)
        self.holds = holds = Holds()

        estimate, pool_states = StartEstimate(), PoolStates(redis)
        collector = Collector() if settings.stats_max_series else None
        series = SeriesIndex(redis, settings.stats_max_series)
        usage = UsageCollector() if settings.usage_days or settings.meter.prices or rate_limits.limits_runs else None
        observations = Observations(settings.drift_buffer_bytes) if settings.drift_max_versions else None
        batcher = Batcher(
            redis,
            process,
            settings,
            catalog.slots,
            admission.refusal,
            estimate,
            pool_states.check,
            fair_share,
            series,
            collector,
            usage,
            traced,
        )
        pauses = Pauses(loops.add("pauses"))
        lane, off = _direct_lane(settings, repository, process, pauses, collector, usage, observations)
        self.direct = DirectVersions(redis, replies, catalog, pool_states, lane, off, loops)
        self.model_pauses = pauses_of_models = ModelPauses(redis, catalog, replies, loops.add("models", IDLE_S))
        captured = CaptureBuffer(settings.capture_buffer_bytes)
        self.predictions = PredictionService(redis, settings, batcher, rate_limits, pool_states, pauses_of_models, captured, lane, traced)
        self.jobs = jobs = JobService(
            redis, settings, batcher, replies, estimate, catalog, holds, pool_states, pauses_of_models, rate_limits
        )

        batch_progress = BatchReconciler(redis, settings, catalog.slots, jobs.cancel, rate_limits.count_run, export)
        self.batches = BatchService(redis, settings, batch_progress, replies, holds, pool_states, rate_limits)
        self.batch_requests = BatchRequests(catalog, settings)
        self.pipelines = PipelineService(redis, settings, pipelines, catalog, admission, jobs, pool_states, rate_limits)
        self.trainings = TrainingService(redis, settings, catalog, admission, jobs, pool_states, rate_limits, fair_share)
        routes = AliasRoutes(repository, catalog)
        self.replays = ReplayService(redis, settings, routes, admission, jobs, pool_states, rate_limits, fair_share)
        self.schedules = ScheduleService(
            redis,
            settings,
            {
                "training": TrainingTarget(self.trainings, jobs),
                "batch": BatchTarget(self.batches, self.batch_requests),
                "pipeline": PipelineTarget(self.pipelines, jobs),
            },
            self.sampling,
        )
        self.dead_letters = DeadLetterService(redis, settings, catalog, jobs)
        self.bulk_actions = BulkActionService(redis, settings, jobs, self.dead_letters)
        self.webhooks = WebhookService(redis, settings)
        self.models = ModelService(redis, settings, repository, pipelines, catalog)
        self.rollouts = RolloutService(redis, settings, routes)
        self.shadows = ShadowService(redis, routes)
        self.model_uploads = ModelUploads(redis, settings, repository, catalog, self.models)
        demands = PoolDemands(redis, settings, self.direct.holds)
        self.pools = PoolService(redis, settings, catalog, pool_states, replies, demands, loops.add("pools"))
        self.workers = WorkerService(redis, settings, catalog)
        self.diagnosis = DiagnosisService(redis, jobs, self.pools, catalog)
        self.files = FileService(redis, settings, rate_limits)
        self.limits = LimitService(redis, rate_limits)
        self.stats = StatsService(redis)
        self.drift = DriftService(redis, catalog)
        self.captures = CaptureService(redis, settings, catalog)
        self.feedback = FeedbackService(redis, settings, catalog)
        self.usage = UsageService(redis, settings.meter)

        keys_file = ApiKeysFile(settings.keys_file)
        self.api_keys = ApiKeyService(redis, settings, keys_file)
        self.console_sessions = ConsoleSessions(redis, settings)
        self._refusals = Refusals(redis, settings.audit_refusals_per_minute, loops.add("audit"))
        background: list[_BackgroundLoop] = []
        if collector is not None:
            background.append(StatsRecorder(redis, collector, series, loops.add("stats")))
        if usage is not None:
            background.append(UsageRecorder(redis, usage, settings.meter, rate_limits.runs_count, loops.add("usage")))
        if observations is not None:
            background.append(DriftWatch(redis, process, settings, catalog, loops.add("drift", DRIFT_S)))
        if observations is not None and lane is not None:
            background.append(ObservationRecorder(redis, observations, settings.drift_max_versions, loops.add("observations", EVERY_S)))
        if settings.stats_max_series:
            background.append(RolloutSteps(redis, process, settings, routes, catalog, loops.add("rollouts", STEP_CHECK_S)))
        if lane is not None:
            background.append(CaptureRecorder(captured, settings.capture_every_s, loops.add("captures", LOOK_S)))
        if settings.files is not None:
            background.append(QualityWatch(redis, process, settings, catalog, self.feedback, loops.add("quality", TURN_S)))
        if export is not None:
            background.append(EndedTraces(redis, settings, export, loops.add("traces")))
        self._mirror = _mirror(settings, repository, redis, replies, catalog, loops)
        if self._mirror is not None:
            background.append(self._mirror)
        self.authentication: Authentication | None = None
        self.access_control: AccessControl | None = None
        self.sign_ins: SignIns | None = None
        if settings.auth == "keys":
            failures = FailedAuthentications(settings.auth_failures_per_minute, settings.max_failing_addresses)
            tokens = _identity_tokens(settings, loops)
            self.authentication = Authentication(redis, settings, replies, keys_file, failures, loops.add("api-keys"), tokens)
            background += [self.authentication, *([tokens] if tokens else [])]
            self.sign_ins = _sign_ins(settings, tokens)
            self.access_control = AccessControl(self.authentication, failures, rate_limits, self._refusals, self.console_sessions)
        self.audit = AuditService(redis)
        metrics.AUTHENTICATION_MODE.labels(settings.auth).set(1)

        self.offload = Offload(settings)
        self.bodies = Bodies(settings, self.offload)
        self.open_inference = OpenInference(self.offload)
        self.job_responses = JobResponses(jobs, catalog, self.offload)
        self.prediction_responses = PredictionResponses(self.predictions, self.offload)

        kinds = {
            "batch": batch_progress.reconcile,
            PIPELINE: PipelineReconciler(redis, settings, jobs.cancel, fair_share, rate_limits.count_run).reconcile,
            PARENT: self.schedules.reconcile,
            BULK: self.bulk_actions.reconcile,
        }
        self.reconciler = Reconciler(redis, replies, quarantine, kinds, loops.add("reconciler", IDLE_S))
        self._loops: tuple[_BackgroundLoop, ...] = (
            admission,
            pauses,
            catalog,
            self.direct,
            replies,
            self.maintenance,
            Sender(
                redis,
                settings,
                Presenters(present, present_batch),
                partial(replies.listen, keys.WEBHOOKS_DUE),
                loop=loops.add("webhooks", IDLE_S),
                export=export,
            ),
            self.reconciler,
            self.pools,
            self.model_pauses,
            self._refusals,
            *background,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the background loops while the block runs.

        Raises:
            StoreUnfit: Redis is misconfigured and could lose jobs.
        """
        await self.admission.check()
        if self._mirror is not None:
            await self._mirror.start()
        await self.catalog.refresh()
        await self.pools.start()
        await self.model_pauses.start()
        try:
            await owners.adopt(self._redis)
        except (RedisError, OSError) as error:
            log.warning("Jobs of an earlier release may be missing from the lists of the owner default: Redis does not answer: %s", error)
        if self.authentication:
            await self.authentication.start()
        tasks = [asyncio.create_task(loop.run()) for loop in self._loops]
        try:
            yield
        finally:
            self.drain()
            left = set(tasks)
            while left:
                # One cancellation is not always enough: redis-py may answer it with an error of its own, which the tasks survive.
                for task in left:
                    task.cancel()
                _, left = await asyncio.wait(left, timeout=0.2)
            await asyncio.gather(*tasks, return_exceptions=True)
            self.direct.close()
            if self._exporter is not None:
                await asyncio.to_thread(self._exporter.close)
            await self._redis.aclose()

    def drain(self) -> None:
        """Answer every request that is held with what is known now. New work is still done."""
        self.readiness.leaving = True
        self.holds.drain()


def _identity_tokens(settings: Settings, loops: Loops) -> IdentityTokens | None:
    """Return what verifies identity tokens, if issuers are configured."""
    if settings.issuers_file is None:
        return None
    # PyJWT and cryptography take 20 MiB and a part of a second, which only installations with issuers should pay.
    from app.services.identity_tokens import IdentityTokens
    from app.services.issuers_file import IssuersFile

    return IdentityTokens(IssuersFile(settings.issuers_file), settings.max_identity_tokens, loops.add("issuers"))


def _sign_ins(settings: Settings, tokens: IdentityTokens | None) -> SignIns | None:
    """Return what signs people in to the console with a provider, if one is configured."""
    if tokens is None or not settings.console_oidc_issuer:
        return None
    from app.services.sign_ins import SignIns

    return SignIns(settings, tokens)


def _mirror(
    settings: Settings, repository: Repository, redis: Redis, replies: Replies, catalog: Catalog, loops: Loops
) -> ModelMirror | None:
    """Return what keeps the mirror of the model repository up to date, if that is in a bucket."""
    if isinstance(settings.models, Path):
        return None
    from app.registry.bucket.repository import BucketRepository
    from app.services.model_mirror import ModelMirror

    assert isinstance(repository, BucketRepository)
    return ModelMirror(repository, redis, replies, catalog, loops.add("mirror"))


def _direct_lane(
    settings: Settings,
    repository: Repository,
    process: str,
    pauses: Pauses,
    collector: Collector | None,
    usage: UsageCollector | None,
    observations: Observations | None,
) -> tuple[DirectLane | None, str]:
    """Return the direct lane, or None and why there is none."""
    if settings.direct == "off":
        return None, "CELERIAC_DIRECT is off."
    if settings.device == "cuda":
        return None, "CELERIAC_DEVICE is cuda, and API processes predict on the CPU only."
    try:
        marks = Marks(settings.state / "direct", process)
    except OSError as error:
        reason = f"{settings.state} cannot be written ({error.strerror or error}), so a crash would not be noticed. Set CELERIAC_STATE."
        log.warning("Every prediction takes the queue: %s", reason)
        return None, reason
    return DirectLane(settings, repository, marks, lambda: pauses.last_s, collector, usage, observations), ""


def container(request: Request) -> Container:
    """Return the container of the process that serves a request."""
    root: Container = request.app.state.container
    return root
