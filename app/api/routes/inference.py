"""/v2: the Open Inference Protocol, version 2. `infer` waits for the result unless the caller prefers not to."""

from __future__ import annotations

from typing import Final

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import Container, container
from app.api.http import tensors
from app.api.http.bodies import JSON
from app.api.http.idempotency import by_key, idempotency_key
from app.api.http.offload import Offload
from app.api.http.params import path_model
from app.api.http.preferences import preference
from app.api.http.reading import Inference, detached_inference, inference
from app.api.schemas import inference as schemas
from app.api.schemas.problems import PROTOCOL_ERRORS
from app.api.schemas.results import detached, infer_json
from app.api.server.plain_route import PlainRoute
from app.core import protocol
from app.core.errors import DeadlineExceeded, JobConflict, from_dict
from app.core.jobs import Job, State
from app.core.models import Manifest
from app.core.tensors import Tensor

router = APIRouter(prefix="/v2/models", tags=["inference"], route_class=PlainRoute, responses=PROTOCOL_ERRORS)
# Clients of the protocol send raw tensors as octets, and some send no content type at all.
_TYPES: Final = (*JSON, "application/octet-stream", "")
_RAW: Final = 4
"""Bytes of raw data that cost as much as one byte of JSON."""


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
    key = preferred.job and idempotency_key(request) is not None
    parsed = await _parse(root.offload, content, tensors.json_bytes(request, len(content)), manifest, str(ref) if key else None)
    if not preferred.job:
        outcome = await root.predictions.predict(manifest, parsed.inputs, parsed.outputs, parsed.timeout_s)
        return await _response(root.offload, manifest, outcome.job if parsed.id is None else parsed.id, outcome.outputs, parsed.binary)
    job = await _submit(root, request, manifest, parsed, preferred.wait_s or 0)
    if not job.state.final:
        return await root.job_responses.accepted(job, preferred)
    response = await _response(root.offload, manifest, parsed.id or job.id, _result(job), parsed.binary)
    response.headers.update({"location": f"/v1/jobs/{job.id}", **preferred.applied(late=False)})
    return response


async def _parse(offload: Offload, content: bytes, json_bytes: int | None, manifest: Manifest, ref: str | None) -> Inference:
    # Raw numbers are not parsed, so that they cost a fraction of what JSON does.
    size = len(content) if json_bytes is None else json_bytes + (len(content) - json_bytes) // _RAW
    parse = inference if size <= offload.above_bytes else detached_inference
    return await offload.run(size, parse, content, json_bytes, manifest, ref)


async def _submit(root: Container, request: Request, manifest: Manifest, parsed: Inference, wait_s: float) -> Job:
    deadline_s = min(parsed.timeout_s or root.settings.default_deadline_s, root.settings.job_ttl_s)
    identity = by_key(request, parsed.fingerprint)
    return await root.jobs.submit(manifest, parsed.inputs, parsed.outputs, deadline_s=deadline_s, wait_s=wait_s, identity=identity)


def _result(job: Job) -> list[Tensor]:
    """Return the outputs of an ended job. Raises the error with which it ended."""
    outputs = job.answered() if job.state is State.SUCCEEDED else None
    if outputs is not None:
        return outputs
    if job.state is State.FAILED and job.error is not None:
        raise from_dict(job.error)
    if job.state is State.EXPIRED:
        raise DeadlineExceeded(f"Job {job.id} did not start before its deadline.")
    raise JobConflict(f"Job {job.id} was cancelled.")


async def _response(offload: Offload, manifest: Manifest, id: str, outputs: list[Tensor], binary: list[bool]) -> Response:
    head = {"model_name": manifest.name, "model_version": manifest.version, "id": id}
    size = sum(len(tensor.data) for tensor, raw in zip(outputs, binary, strict=True) if not raw)
    if size > offload.above_bytes and not any(binary):
        return Response(await offload.run(size, infer_json, detached(outputs), head), media_type="application/json")
    listed, raw = protocol.write(outputs, binary)
    body = orjson.dumps({**head, "outputs": listed})
    if not raw:
        return Response(body, media_type="application/json")
    headers = {tensors.JSON_LENGTH: str(len(body))}
    return Response(b"".join((body, *raw)), headers=headers, media_type="application/octet-stream")
