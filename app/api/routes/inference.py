"""/v2: the Open Inference Protocol, version 2. `infer` waits for the result unless the caller prefers not to."""

from __future__ import annotations

from typing import Final

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.http import tensors
from app.api.http.bodies import JSON, read_bytes
from app.api.http.idempotency import by_key, idempotency_key
from app.api.http.preferences import preference
from app.api.http.reading import Inference, detached, detached_inference, inference, listed_json
from app.api.routes.jobs import accepted
from app.api.schemas import inference as schemas
from app.api.schemas.problems import PROTOCOL_ERRORS
from app.api.server.plain_route import PlainRoute, named
from app.core import protocol
from app.core.errors import DeadlineExceeded, JobConflict, from_dict
from app.core.jobs import Job, State
from app.core.models import Manifest
from app.core.tensors import Tensor
from app.services.jobs import Gateway, gateway

router = APIRouter(prefix="/v2/models", tags=["inference"], route_class=PlainRoute, responses=PROTOCOL_ERRORS)
# Clients of the protocol send raw tensors as octets, and some name no type at all.
_KINDS: Final = (*JSON, "application/octet-stream", "")
_RAW: Final = 4
"""Bytes of raw data that cost as much as one byte of JSON."""


@router.post("/{name}/infer", **schemas.INFER)
@router.post("/{name}/versions/{version}/infer", **schemas.INFER_VERSION)
async def infer(request: Request) -> Response:
    """Predicts, and answers with the outputs that were asked for.

    Waits for the result. With `Prefer: respond-async` it answers 202 and the job's address once the job is durable, with
    `Prefer: wait=n` only where the result has not come within n seconds; then an `Idempotency-Key` counts too.
    """
    here = gateway(request)
    content = await read_bytes(request, here.settings.max_body_bytes, _KINDS)
    ref = named(request)
    manifest = await here.catalogue.serving(ref)
    wanted = preference(request, here.settings.max_wait_s)
    key = wanted.job and idempotency_key(request) is not None
    asked = await _read(here, content, tensors.json_bytes(request, len(content)), manifest, str(ref) if key else None)
    if not wanted.job:
        found, id = await _now(here, manifest, asked)
        return await _response(here, manifest, id, found, asked.binary)
    deadline_s = min(asked.timeout_s or here.settings.default_deadline_s, here.settings.job_ttl_s)
    repeated = by_key(request, asked.fingerprint)
    job = await here.submit(manifest, asked.inputs, asked.outputs, deadline_s=deadline_s, wait_s=wanted.wait_s or 0, named=repeated)
    if not job.state.final:
        return await accepted(here, job, wanted)
    response = await _response(here, manifest, asked.id or job.id, _result(job), asked.binary)
    response.headers.update({"location": f"/v1/jobs/{job.id}", **wanted.applied(late=False)})
    return response


async def _read(here: Gateway, content: bytes, json_bytes: int | None, manifest: Manifest, ref: str | None) -> Inference:
    # Raw numbers are not parsed, so that they cost a fraction of what JSON does.
    size = len(content) if json_bytes is None else json_bytes + (len(content) - json_bytes) // _RAW
    read = inference if size <= here.offload.above_bytes else detached_inference
    return await here.offload.run(size, read, content, json_bytes, manifest, ref)


async def _now(here: Gateway, manifest: Manifest, asked: Inference) -> tuple[list[Tensor], str]:
    longest = min(asked.timeout_s or here.settings.infer_timeout_s, here.settings.infer_timeout_s)
    try:
        outcome = await here.coalescer.predict(manifest, asked.inputs, asked.outputs, longest)
    except TimeoutError:
        raise DeadlineExceeded(f"no answer within {longest:g} s: ask with 'Prefer: respond-async' to be answered later") from None
    if outcome.error is not None:
        raise outcome.error
    return outcome.outputs, outcome.job if asked.id is None else asked.id


def _result(job: Job) -> list[Tensor]:
    """Raises what the job ended with, if it is no result."""
    outputs = job.answered() if job.state is State.SUCCEEDED else None
    if outputs is not None:
        return outputs
    if job.state is State.FAILED and job.error is not None:
        raise from_dict(job.error)
    if job.state is State.EXPIRED:
        raise DeadlineExceeded(f"the job {job.id} was not run before its deadline")
    raise JobConflict(f"the job {job.id} was cancelled")


async def _response(here: Gateway, manifest: Manifest, id: str, outputs: list[Tensor], binary: list[bool]) -> Response:
    head = {"model_name": manifest.name, "model_version": manifest.version, "id": id}
    size = sum(len(tensor.data) for tensor, raw in zip(outputs, binary, strict=True) if not raw)
    if size > here.offload.above_bytes and not any(binary):
        return Response(await here.offload.run(size, listed_json, detached(outputs), head), media_type="application/json")
    listed, raw = protocol.write(outputs, binary)
    body = orjson.dumps({**head, "outputs": listed})
    if not raw:
        return Response(body, media_type="application/json")
    headers = {tensors.JSON_LENGTH: str(len(body))}
    return Response(b"".join((body, *raw)), headers=headers, media_type="application/octet-stream")
