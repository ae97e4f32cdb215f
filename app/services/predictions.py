"""Synchronous predictions: the caller waits for the result, and no job is recorded."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

from app import metrics
from app.broker.batcher.batcher import Batcher
from app.broker.batcher.traces import Traces
from app.core import callers, traces
from app.core.captured_jobs import CaptureBuffer
from app.core.errors import CeleriacError, DeadlineExceeded, StoreUnavailable
from app.core.jobs import new_id
from app.core.lanes import Lane
from app.core.models import Manifest
from app.core.rate_limits import Charge
from app.core.tensors import Tensor
from app.core.tiers import Tier
from app.direct.lane import DirectLane
from app.direct.version import Answer, DirectVersion
from app.services.model_pauses import ModelPauses
from app.services.pool_states import PoolStates
from app.services.rate_limits import RateLimits, pay
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Prediction:
    """A result.

    Attributes:
        id: ID of the prediction.
        outputs: The requested outputs.
        lane: Where it was predicted.
    """

    id: str
    outputs: list[Tensor]
    lane: Lane


class PredictionService:
    """Runs predictions on the direct lane if it is open for them, else through the dynamic batcher."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        settings: Settings,
        batcher: Batcher,
        rate_limits: RateLimits,
        pools: PoolStates,
        models: ModelPauses,
        captured: CaptureBuffer,
        direct: DirectLane | None,
        traced: Traces | None = None,
    ) -> None:
        self._client = client
        self._batcher = batcher
        self._rate_limits = rate_limits
        self._pools = pools
        self._models = models
        self._captured = captured
        self._direct = direct
        self._traced = traced
        self._max_s = settings.infer_timeout_s

    async def predict(
        self,
        manifest: Manifest,
        inputs: Sequence[Tensor],
        outputs: tuple[str, ...],
        timeout_s: float | None,
        tier: Tier = Tier.DEFAULT,
    ) -> Prediction:
        """Return the result of a prediction.

        Args:
            manifest: The version to predict with.
            inputs: Tensors that match the manifest.
            outputs: Names of the outputs to return.
            timeout_s: Seconds to wait, at most `infer_timeout_s`. None waits that long.
            tier: Service tier. It has no effect on the direct lane, where nothing waits.

        Raises:
            ScopeMissing: The caller may not use the service tier.
            ModelPaused: The model is paused.
            DeadlineExceeded: The result did not arrive in time.
            QueueFull: The queue or Redis is full.
            RateLimited: A rate limit of the caller is reached.
            StoreUnavailable: Redis is unavailable.
            CeleriacError: The prediction failed.
        """
        callers.check_tier(tier)
        self._models.check_synchronous(manifest.name)
        version = self._open(manifest, inputs)
        charge = self._rate_limits.charge(inputs[0].rows, pools=[manifest.pool], job=False)
        if version is not None:
            if charge is not None:
                await self._pay(charge)
                charge = None
            began = time.time()
            try:
                answer = await version.predict(inputs, outputs, callers.owner())
            except CeleriacError as error:
                self._trace(new_id(began), manifest, inputs, began, error.code)
                raise
            if answer is not None:
                predicted = self.predicted(manifest, inputs, answer, callers.owner())
                self._trace(predicted.id, manifest, inputs, began)
                return predicted
        return await self._through_queue(manifest, inputs, outputs, timeout_s, charge, tier)

    def begin(self, manifest: Manifest, inputs: Sequence[Tensor], outputs: tuple[str, ...], answer: Answer) -> bool:
        """Begin a prediction on the direct lane, which `predicted` ends. False if `predict` has more to do, or to wait for.

        `answer` takes the result, as in `DirectVersion.enter`.
        """
        if self._traced is not None or manifest.name in self._models.pauses or self._rate_limits.limits(callers.CALLER.get()):
            return False
        # A refusal is counted by `predict`, which the request comes to then.
        version = self._open(manifest, inputs, counted=False)
        if version is None:
            return False
        version.enter(inputs, outputs, callers.owner(), answer)
        return True

    def predicted(self, manifest: Manifest, inputs: Sequence[Tensor], outputs: list[Tensor], owner: str) -> Prediction:
        """Count and capture what the direct lane has predicted, and return the prediction."""
        _answered(manifest.name, manifest.version, Lane.DIRECT)()
        now = time.time()
        id = new_id(now)
        if manifest.capture is not None:
            self._captured.add(manifest, id, owner, inputs, outputs, now)
        return Prediction(id, outputs, Lane.DIRECT)

    def _open(self, manifest: Manifest, inputs: Sequence[Tensor], *, counted: bool = True) -> DirectVersion | None:
        """Return the version if the direct lane can predict the inputs here and now."""
        version = self._direct.open_for(manifest, inputs, counted=counted) if self._direct is not None else None
        if version is not None and manifest.pool in self._pools.states:
            if counted:
                metrics.DIRECT_REFUSED.labels("pool").inc()
            return None
        return version

    async def _through_queue(
        self,
        manifest: Manifest,
        inputs: Sequence[Tensor],
        outputs: tuple[str, ...],
        timeout_s: float | None,
        charge: Charge | None,
        tier: Tier,
    ) -> Prediction:
        seconds = min(timeout_s or self._max_s, self._max_s)
        try:
            outcome = await self._batcher.predict(manifest, inputs, outputs, seconds, charge, callers.owner(), tier)
        except TimeoutError:
            raise DeadlineExceeded(
                f"No result within {seconds:g} s. Send 'Prefer: respond-async' to receive a job and read its result later."
            ) from None
        if outcome.error is not None:
            raise outcome.error
        _answered(manifest.name, manifest.version, Lane.QUEUE)()
        return Prediction(outcome.job, outcome.outputs, Lane.QUEUE)

    def _trace(self, id: str, manifest: Manifest, inputs: Sequence[Tensor], began: float, error: str = "") -> None:
        """Export the trace of a prediction on the direct lane."""
        trace = traces.begin()
        if self._traced is not None and trace is not None:
            self._traced.direct(trace, id, manifest, callers.owner(), inputs[0].rows, began, error)

    async def _pay(self, charge: Charge) -> None:
        """Charge the rate limits, as a script that enqueues does."""
        try:
            await pay(self._client, charge)
        except (RedisError, OSError) as failure:
            metrics.JOBS_REFUSED.labels(StoreUnavailable.code).inc()
            raise StoreUnavailable(f"Redis did not take the job. Try again: {failure}") from None


@cache
def _answered(model: str, version: str, lane: Lane) -> Any:
    """Return the counter of answers. Looking up labels costs more than counting."""
    return metrics.INFERENCES.labels(model, version, lane).inc
