"""Predictions of the direct lane, without a call of the ASGI application.

An ASGI call with its task, its messages and its middlewares takes longer than such a prediction. So this serves what is usual: a complete
small request in JSON whose model is on the lane and whose caller is known. All else takes the ordinary way, errors in a request too, so
that each is written in one place. Both ways parse, check, predict, count and write with the same code.
"""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import orjson
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.http.budget import FREE_BYTES
from app.api.http.open_inference import OpenInference
from app.api.http.params import model_ref
from app.api.http.prediction_responses import LANES
from app.api.http.problems import problem
from app.api.http.reading import Inference, inference
from app.api.server.metrics import MetricsMiddleware, observe
from app.api.server.operations import required
from app.core import callers, protocol
from app.core.api_keys import Caller
from app.core.errors import CeleriacError
from app.core.lanes import Lane
from app.core.models import Manifest
from app.core.security_headers import DATA
from app.core.tensors import Tensor
from app.core.tiers import Tier
from app.core.traces import new_trace_id
from app.services.authentication import Authentication
from app.services.catalog import Catalog
from app.services.predictions import Prediction, PredictionService
from app.settings import Settings

log = logging.getLogger(__name__)
_PATH: Final = re.compile(r"/v2/models/([^/]+)/(?:versions/([^/]+)/)?infer")
_ROUTE: Final = "/v2/models/{name}/infer"
_ROUTE_OF_VERSION: Final = "/v2/models/{name}/versions/{version}/infer"
_SCOPE: Final = required("infer_v2_models__name__infer_post")
_UNHEEDED: Final = frozenset(
    b"host content-type content-length user-agent connection authorization x-api-key accept accept-encoding accept-language via forwarded "
    b"x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-forwarded-scheme x-real-ip x-scheme".split()
)
"""The headers that a prediction does not depend on, and those that are read here. A request with any other takes the ordinary way."""
_JSON: Final = b"application/json"
_HEAD: Final = b"content-type: application/json\r\n" + b"".join(b"%b: %b\r\n" % header for header in (LANES[Lane.DIRECT], *DATA))


class Exchange(Protocol):
    """A complete request, see `app.patches.uvicorn_protocol`."""

    scope: Scope
    body: bytes

    @property
    def gone(self) -> bool:
        """Whether the client has closed the connection."""

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """Send the whole response."""

    def serve(self, app: ASGIApp | None = None) -> None:
        """Serve the request with an ASGI application, by default that of the server."""


class ImmediatePredictions:
    """Serves predictions of the direct lane in the turn of the event loop in which they arrive."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        predictions: PredictionService,
        open_inference: OpenInference,
        authentication: Authentication | None,
        measured: MetricsMiddleware,
    ) -> None:
        """`authentication` is None while it is off. `measured` knows whether the process is leaving: then each response closes its connection."""
        self.predictions, self.open_inference = predictions, open_inference
        self.most_output = settings.offload_above_bytes
        self._catalog = catalog
        self._cached_caller = authentication.cached_caller if authentication is not None else None
        self._most = min(FREE_BYTES, settings.max_body_bytes, settings.offload_above_bytes)
        self._measured = measured

    def begin(self, exchange: Exchange) -> bool:
        """Begin to serve a request, or return False if it takes the ordinary way."""
        scope = exchange.scope
        match = _PATH.fullmatch(scope["path"])
        if match is None or scope["method"] != "POST" or scope["query_string"] or self._measured.leaving:
            return False
        headers = dict(scope["headers"])
        if (
            not _UNHEEDED.issuperset(headers)
            or len(headers) != len(scope["headers"])
            or headers.get(b"content-type") != _JSON
            or len(exchange.body) > self._most
        ):
            return False
        began = time.perf_counter()
        caller: Caller | None = None
        if self._cached_caller is not None:
            caller = self._caller(headers)
            if caller is None:
                return False
        token = callers.CALLER.set(caller)
        try:
            name, version = match.groups()
            manifest = self._catalog.cached_manifest(model_ref(name, version))
            if manifest is None:
                return False
            parsed = inference(exchange.body, None, manifest, None)
            if parsed.tier is not Tier.DEFAULT or any(parsed.binary):
                return False
            route = _ROUTE if version is None else _ROUTE_OF_VERSION
            answer = _Answer(self, exchange, manifest, parsed, callers.owner(), route, began)
            return self.predictions.begin(manifest, parsed.inputs, parsed.outputs, answer)
        except CeleriacError:
            return False
        finally:
            callers.CALLER.reset(token)

    def _caller(self, headers: dict[bytes, bytes]) -> Caller | None:
        """Return the caller of a key that is known and has the scope, or None."""
        text = headers.get(b"x-api-key")
        if b"authorization" in headers:
            kind, _, value = headers[b"authorization"].partition(b" ")
            if text is not None or kind.lower() != b"bearer":
                return None
            text = value.strip(b" ")
        caller = self._cached_caller(text) if self._cached_caller is not None and text is not None else None
        return caller if caller is not None and _SCOPE in caller.scopes else None


@dataclass(slots=True)
class _Answer:
    """The answer to one request. The lane gives it the outputs, or an error, and it sends the response."""

    owner: ImmediatePredictions
    exchange: Exchange
    manifest: Manifest
    parsed: Inference
    caller_owner: str
    route: str
    began: float

    def done(self) -> bool:
        """Return whether the client has gone."""
        return self.exchange.gone

    def set_result(self, result: list[Tensor] | None, /) -> None:
        """Send the outputs. None: the queue has to predict."""
        if result is None:
            self.exchange.serve()
        elif sum(len(tensor.data) for tensor in result) > self.owner.most_output:
            self.exchange.serve(partial(self._serve, result))
        else:
            predicted, manifest, parsed = self._predicted(result), self.manifest, self.parsed
            listed, _ = protocol.write(result, parsed.binary)
            id = predicted.id if parsed.id is None else parsed.id
            body = orjson.dumps({"model_name": manifest.name, "model_version": manifest.version, "id": id, "outputs": listed})
            self.exchange.answer(200, b"%bx-request-id: %b\r\n" % (_HEAD, new_trace_id().encode()), body)
            observe("POST", self.route, 200, time.perf_counter() - self.began)

    def _predicted(self, outputs: list[Tensor]) -> Prediction:
        return self.owner.predictions.predicted(self.manifest, self.parsed.inputs, outputs, self.caller_owner)

    def set_exception(self, exception: BaseException, /) -> None:
        """Send an error."""
        self.exchange.serve(partial(self._serve, exception))

    async def _serve(self, result: list[Tensor] | BaseException, scope: Scope, receive: Receive, send: Send) -> None:
        """Send an error, or outputs that take long to write."""
        if isinstance(result, CeleriacError):
            response = problem(Request(scope), result)
        elif isinstance(result, BaseException):
            log.error("POST %s", scope["path"], exc_info=result)
            response = problem(Request(scope), CeleriacError("Internal server error. See the server log."))
        else:
            predicted = self._predicted(result)
            id = predicted.id if self.parsed.id is None else self.parsed.id
            response = await self.owner.open_inference.response(self.manifest, id, result, self.parsed.binary)
            response.raw_headers.append(LANES[Lane.DIRECT])
        response.raw_headers.extend((*DATA, (b"x-request-id", new_trace_id().encode())))
        await response(scope, receive, send)
        observe("POST", self.route, response.status_code, time.perf_counter() - self.began)
