"""/v2: what the Open Inference Protocol says of the server and its models. `infer` has a file of its own."""

from __future__ import annotations

from typing import Any, Final

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from app import __version__
from app.api.routes.jobs import answer
from app.api.schemas import models as schemas
from app.api.schemas import server as server_schemas
from app.api.schemas.problems import PROTOCOL_ERRORS
from app.api.server.plain_route import PlainRoute, named
from app.core.models import PYTHON, Manifest, TensorSpec
from app.core.tensors import TIMESTAMP
from app.services.jobs import gateway

router = APIRouter(prefix="/v2", tags=["inference"], route_class=PlainRoute, responses=PROTOCOL_ERRORS)
EXTENSIONS: Final = ("binary_tensor_data", "model_configuration", "model_repository")
_CLASSIFYING: Final = ("predict_proba", "decision_function")


@router.get("", **server_schemas.SERVER)
async def server(request: Request) -> Response:
    """The server's name, version and the extensions that it speaks."""
    return answer({"name": "celeriac", "version": __version__, "extensions": EXTENSIONS})


@router.get("/health/live", **server_schemas.LIVE)
async def live(request: Request) -> Response:
    """The process answers."""
    return answer({"live": True})


@router.get("/health/ready", **server_schemas.READY)
async def ready(request: Request) -> Response:
    """A request would be answered: Redis answers, this process is not about to stop, and a worker runs or a pool starts from zero."""
    here = gateway(request)
    good = bool(here.catalogue.workers or here.catalogue.autoscaled) and not await here.trouble()
    return answer({"ready": good, "live": True}, 200 if good else 503)


@router.get("/models/{name}", **schemas.METADATA)
@router.get("/models/{name}/versions/{version}", **schemas.METADATA_VERSION)
async def metadata(request: Request) -> Response:
    """What a model takes and gives."""
    manifest = await _manifest(request)
    versions = list((await gateway(request).catalogue.entry(manifest.name)).versions)
    said = {"name": manifest.name, "versions": versions, "platform": _platform(manifest)}
    return answer(said | {side: [_tensor(spec, manifest) for spec in getattr(manifest, side)] for side in ("inputs", "outputs")})


@router.get("/models/{name}/config", **schemas.CONFIG)
@router.get("/models/{name}/versions/{version}/config", **schemas.CONFIG_VERSION)
async def config(request: Request) -> Response:
    """Triton's model configuration extension, as far as it says something here."""
    manifest = await _manifest(request)
    return answer(
        {
            "name": manifest.name,
            "platform": _platform(manifest),
            "backend": "celeriac",
            "version_policy": {"specific": {"versions": [manifest.version]}},
            "max_batch_size": manifest.batch.max_rows,
            "input": [_dims(spec) for spec in manifest.inputs],
            "output": [_dims(spec) for spec in manifest.outputs],
            "dynamic_batching": {"max_queue_delay_microseconds": round(manifest.batch.max_wait_ms * 1000)},
        }
    )


@router.get("/models/{name}/ready", **schemas.READY)
@router.get("/models/{name}/versions/{version}/ready", **schemas.READY_VERSION)
async def model_ready(request: Request) -> Response:
    """A request would be answered: a worker holds the model, or loads it or starts for the first request."""
    ref, catalogue = named(request), gateway(request).catalogue
    version, _ = await catalogue.resolve(ref)
    good = catalogue.answers(ref.name, version)
    return answer({"name": ref.name, "ready": good}, 200 if good else 503)


async def _manifest(request: Request) -> Manifest:
    """Of a version that cannot be served too, if it has one. Raises ModelUnavailable where it has none."""
    catalogue, ref = gateway(request).catalogue, named(request)
    _, found = await catalogue.resolve(ref)
    return found.manifest or await catalogue.serving(ref)


def _platform(manifest: Manifest) -> str:
    if manifest.graph:
        return "onnxruntime_onnx"  # as Triton names it
    return PYTHON if manifest.format == PYTHON else f"sklearn_{manifest.format}"


def _tensor(spec: TensorSpec, manifest: Manifest) -> dict[str, Any]:
    parameters: dict[str, str | bool] = {}
    # The protocol's parameters are strings, numbers and truth values: a list travels as JSON in a string.
    if spec.columns:
        parameters["columns"] = orjson.dumps(spec.columns).decode()
    if spec.nullable:
        parameters["nullable"] = True
    if spec.name in _CLASSIFYING and manifest.classes:
        parameters["classes"] = orjson.dumps(manifest.classes).decode()
    datatype = spec.datatype
    if datatype == TIMESTAMP:  # the protocol has none: text, as MLServer sends it
        datatype = "BYTES"
        parameters["content_type"] = "datetime"
    said = {"name": spec.name, "datatype": datatype, "shape": spec.shape}
    return said | ({"parameters": parameters} if parameters else {})


def _dims(spec: TensorSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "data_type": f"TYPE_{'STRING' if spec.datatype in ('BYTES', TIMESTAMP) else spec.datatype}",
        "dims": spec.shape[1:],
    }
