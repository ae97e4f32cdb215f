"""A prediction as a response, in the form of the protocol that the request came in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVarTuple

from starlette.responses import Response

from app.api.http.offload import Offload
from app.api.schemas.results import detached
from app.core.lanes import Lane
from app.core.models import Manifest
from app.core.prediction_requests import PredictionRequest
from app.core.tensors import Tensor
from app.services.predictions import PredictionService

LANES: Final = {lane: (b"celeriac-lane", lane.encode()) for lane in Lane}
"""The header that says where a response was predicted."""
Context = TypeVarTuple("Context")


class PredictionResponses:
    """Predicts and presents. Large results are converted to JSON outside the event loop."""

    def __init__(self, predictions: PredictionService, offload: Offload) -> None:
        self._predictions = predictions
        self._offload = offload

    async def predicted(
        self,
        manifest: Manifest,
        requested: PredictionRequest,
        write: Callable[[Sequence[Tensor], *Context], bytes],
        *context: *Context,
    ) -> Response:
        """Return the response to a request.

        Args:
            manifest: The version to predict with.
            requested: The parsed request.
            write: Returns the outputs as JSON. It must be picklable, as `context` must be.
            *context: Further arguments of `write`.

        Raises:
            CeleriacError: The prediction failed. See `PredictionService.predict`.
        """
        predicted = await self._predictions.predict(manifest, requested.inputs, requested.outputs, requested.timeout_s, requested.tier)
        outputs = predicted.outputs
        size = sum(len(tensor.data) for tensor in outputs)
        if size > self._offload.above_bytes:
            outputs = detached(outputs)
        response = Response(await self._offload.run(size, write, outputs, *context), media_type="application/json")
        response.raw_headers.append(LANES[predicted.lane])
        return response
