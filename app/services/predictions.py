"""Synchronous predictions: the caller waits for the result, and no job is recorded."""

from __future__ import annotations

from collections.abc import Sequence

from app.broker.batcher.batcher import Batcher
from app.core import callers
from app.core.deliveries import Outcome
from app.core.errors import DeadlineExceeded
from app.core.models import Manifest
from app.core.tensors import Tensor
from app.services.rate_limits import RateLimits
from app.settings import Settings


class PredictionService:
    """Runs predictions through the dynamic batcher."""

    def __init__(self, settings: Settings, batcher: Batcher, rate_limits: RateLimits) -> None:
        self._batcher = batcher
        self._rate_limits = rate_limits
        self._max_s = settings.infer_timeout_s

    async def predict(self, manifest: Manifest, inputs: Sequence[Tensor], outputs: tuple[str, ...], timeout_s: float | None) -> Outcome:
        """Return the outcome of a prediction, which is a result.

        Args:
            manifest: The version to predict with.
            inputs: Tensors that match the manifest.
            outputs: Names of the outputs to return.
            timeout_s: Seconds to wait, at most `infer_timeout_s`. None waits that long.

        Raises:
            DeadlineExceeded: The result did not arrive in time.
            QueueFull: The queue or Redis is full.
            RateLimited: A rate limit of the caller is reached.
            StoreUnavailable: Redis is unavailable.
            CeleriacError: The prediction failed.
        """
        seconds = min(timeout_s or self._max_s, self._max_s)
        try:
            charge = self._rate_limits.charge(inputs[0].rows)
            outcome = await self._batcher.predict(manifest, inputs, outputs, seconds, charge, callers.owner())
        except TimeoutError:
            raise DeadlineExceeded(
                f"No result within {seconds:g} s. Send 'Prefer: respond-async' to receive a job and read its result later."
            ) from None
        if outcome.error is not None:
            raise outcome.error
        return outcome
