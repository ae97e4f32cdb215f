"""/v2: the Open Inference Protocol, version 2. `infer` waits for the result unless the caller prefers not to."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http.bodies import JSON
from app.api.http.idempotency import by_key, idempotency_key
from app.api.http.job_responses import address
from app.api.http.params import path_model
from app.api.http.prediction_responses import LANES
from app.api.http.preferences import preference
from app.api.schemas import inference as schemas
from app.api.schemas.problems import PROTOCOL_ERRORS
from app.api.server.plain_route import PlainRoute
from app.core import callers
from app.core.lanes import Lane
from app.services.jobs import outputs_of

router = APIRouter(prefix="/v2/models", tags=["inference"], route_class=PlainRoute, responses=PROTOCOL_ERRORS)
# Clients of the protocol send raw tensors as octets, and some send no content type at all.
_TYPES: Final = (*JSON, "application/octet-stream", "")


@router.post("/{name}/infer", **schemas.INFER)
@router.post("/{name}/versions/{version}/infer", **schemas.INFER_VERSION)
async def infer(request: Request) -> Response:
    """Predicts, and returns the requested outputs.

    Waits for the result. With `Prefer: respond-async` it returns 202 and the address of the job once the job is durable. With
    `Prefer: wait=n` it does so if the result has not arrived within n seconds. Then an `Idempotency-Key` is observed, too.
    """
    root = container(request)
    content = await root.bodies.read(request, types=_TYPES)
    ref = path_model(request)
    manifest = await root.catalog.serving(ref)
    preferred = preference(request, root.settings.max_wait_s)
    key = idempotency_key(request) is not None and preferred.job
    parsed = await root.open_inference.parse(request, content, manifest, str(ref) if key else None)
    identity = by_key(request, parsed.fingerprint) if preferred.job else None
    manifest = root.catalog.routed(ref, manifest, parsed.inputs, identity.id if identity else parsed.id or "")
    if not preferred.job:
        predicted = await root.predictions.predict(manifest, parsed.inputs, parsed.outputs, parsed.timeout_s, parsed.tier)
        id = predicted.id if parsed.id is None else parsed.id
        response = await root.open_inference.response(manifest, id, predicted.outputs, parsed.binary)
        response.raw_headers.append(LANES[predicted.lane])
        return response
    job = await root.jobs.submit(
        manifest,
        parsed.inputs,
        parsed.outputs,
        deadline_s=min(parsed.timeout_s or root.settings.default_deadline_s, root.settings.job_ttl_s),
        wait_s=preferred.wait_s or 0,
        identity=identity,
        tier=parsed.tier,
    )
    if not job.state.final:
        return await root.job_responses.accepted(job, preferred)
    # A repeated request gets the job of the first, which another version may have answered.
    manifest = manifest if job.version == manifest.version else replace(manifest, version=job.version)
    response = await root.open_inference.response(manifest, parsed.id or callers.shown_id(job.id), outputs_of(job), parsed.binary)
    response.headers.update({"location": address(job.id), **preferred.applied(late=False)})
    response.raw_headers.append(LANES[Lane.QUEUE])
    return response
