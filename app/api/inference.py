"""/v2: the Open Inference Protocol, version 2. `infer` waits for the result unless the caller prefers not to."""

from __future__ import annotations

from typing import Any, Final

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api import tensors
from app.api.bodies import JSON, known, read_bytes
from app.api.gateway import Gateway, gateway
from app.api.idempotency import by_key
from app.api.jobs import accepted
from app.api.preferences import preference
from app.api.routes import PlainRoute, named
from app.api.schemas import inference as schemas
from app.api.schemas.problems import PROTOCOL_ERRORS
from app.core import protocol
from app.core.errors import DeadlineExceeded, InvalidInput, JobConflict, from_dict
from app.core.inputs import from_tensors
from app.core.jobs import Job, State
from app.core.models import Manifest
from app.core.tensors import Tensor

router = APIRouter(prefix="/v2/models", tags=["inference"], route_class=PlainRoute, responses=PROTOCOL_ERRORS)
# Clients of the protocol send raw tensors as octets, and some name no type at all.
_KINDS: Final = (*JSON, "application/octet-stream", "")


@router.post("/{name}/infer", **schemas.INFER)
@router.post("/{name}/versions/{version}/infer", **schemas.INFER_VERSION)
async def infer(request: Request) -> Response:
    """Predicts, and answers with the outputs that were asked for.

    Waits for the result. With `Prefer: respond-async` it answers 202 and the job's address once the job is durable, with
    `Prefer: wait=n` only where the result has not come within n seconds; then an `Idempotency-Key` counts too.
    """
    here = gateway(request)
    body, raw = tensors.parse(request, await read_bytes(request, here.settings.max_body_bytes, _KINDS))
    known(body, "id", "parameters", "inputs", "outputs")
    ref = named(request)
    manifest = await here.catalogue.serving(ref)
    id, asked = _id(body), protocol.parameters(body)
    outputs, binary = protocol.outputs(body, asked, manifest)
    inputs = from_tensors(manifest, protocol.read(protocol.listed(body, "inputs"), raw))
    timeout_s = _timeout(asked)
    wanted = preference(request, here.settings.max_wait_s)
    if not wanted.job:
        found, id = await _now(here, manifest, inputs, outputs, timeout_s, id)
        return _response(manifest, id, found, binary)
    deadline_s = min(timeout_s or here.settings.default_deadline_s, here.settings.job_ttl_s)
    repeated = by_key(request, str(ref), body, raw)
    job = await here.submit(manifest, inputs, outputs, deadline_s=deadline_s, wait_s=wanted.wait_s or 0, named=repeated)
    if not job.state.final:
        return await accepted(here, job, wanted)
    response = _response(manifest, id or job.id, _result(job), binary)
    response.headers.update({"location": f"/v1/jobs/{job.id}", **wanted.applied(late=False)})
    return response


async def _now(
    here: Gateway, manifest: Manifest, inputs: list[Tensor], outputs: tuple[str, ...], timeout_s: float | None, id: str | None
) -> tuple[list[Tensor], str]:
    longest = min(timeout_s or here.settings.infer_timeout_s, here.settings.infer_timeout_s)
    try:
        outcome = await here.coalescer.predict(manifest, inputs, outputs, longest)
    except TimeoutError:
        raise DeadlineExceeded(f"no answer within {longest:g} s: ask with 'Prefer: respond-async' to be answered later") from None
    if outcome.error is not None:
        raise outcome.error
    return outcome.outputs, outcome.job if id is None else id


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


def _response(manifest: Manifest, id: str, outputs: list[Tensor], binary: list[bool]) -> Response:
    listed, raw = protocol.write(outputs, binary)
    body = orjson.dumps({"model_name": manifest.name, "model_version": manifest.version, "id": id, "outputs": listed})
    if not raw:
        return Response(body, media_type="application/json")
    headers = {tensors.JSON_LENGTH: str(len(body))}
    return Response(b"".join((body, *raw)), headers=headers, media_type="application/octet-stream")


def _id(body: dict[str, Any]) -> str | None:
    found = body.get("id")
    if found is None or isinstance(found, str):
        return found
    raise InvalidInput("id must be a string", pointer="/id")


def _timeout(asked: dict[str, Any]) -> float | None:
    """The parameter `timeout` in seconds; None where it is not there, or 0. `priority` is checked, and has no effect yet."""
    for name in ("timeout", "priority"):
        value = asked.get(name, 0)
        if type(value) is not int or value < 0:
            what = "microseconds to wait" if name == "timeout" else "priority, 1 is the highest"
            raise InvalidInput(f"{name} is {value!r}: give the {what}, a whole number", pointer=f"/parameters/{name}")
    return asked.get("timeout", 0) / 1e6 or None
