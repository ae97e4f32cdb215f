"""/v2: what the Open Inference Protocol says of the server and its models. `infer` has a file of its own."""

from __future__ import annotations

from typing import Final

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from app import __version__
from app.api.container import container
from app.api.http.params import path_model
from app.api.http.responses import json_response
from app.api.schemas import models as schemas
from app.api.schemas import server as server_schemas
from app.api.schemas.inference import Parameters
from app.api.schemas.problems import PROTOCOL_ERRORS
from app.api.server.plain_route import PlainRoute
from app.core.models import PYTHON, PYTORCH, Manifest, TensorSpec
from app.core.tensors import TIMESTAMP

router = APIRouter(prefix="/v2", tags=["inference"], route_class=PlainRoute, responses=PROTOCOL_ERRORS)
EXTENSIONS: Final = ("binary_tensor_data", "model_configuration", "model_repository")
_CLASSIFYING: Final = ("predict_proba", "decision_function")


@router.get("", **server_schemas.SERVER)
async def server(request: Request) -> Response:
    """Returns the name, the version and the supported extensions of the server."""
    return json_response(server_schemas.Server(name="celeriac", version=__version__, extensions=EXTENSIONS))


@router.get("/health/live", **server_schemas.LIVE)
async def live(request: Request) -> Response:
    """Reports whether the process answers."""
    return json_response(server_schemas.Live(live=True))


@router.get("/health/ready", **server_schemas.READY)
async def ready(request: Request) -> Response:
    """Reports whether a request would be answered.

    That needs Redis, a process that is not about to stop, and a worker or a pool that starts from zero.
    """
    root = container(request)
    good = root.catalog.can_predict and not await root.readiness.obstacle()
    return json_response(server_schemas.Ready(ready=good, live=True), 200 if good else 503)


@router.get("/models/{name}", **schemas.METADATA)
@router.get("/models/{name}/versions/{version}", **schemas.METADATA_VERSION)
async def metadata(request: Request) -> Response:
    """Returns the inputs and outputs of a model."""
    manifest = await _manifest(request)
    versions = list((await container(request).catalog.entry(manifest.name)).versions)
    return json_response(
        schemas.ModelMetadata(
            name=manifest.name,
            versions=versions,
            platform=_platform(manifest),
            inputs=[_tensor(spec, manifest) for spec in manifest.inputs],
            outputs=[_tensor(spec, manifest) for spec in manifest.outputs],
        )
    )


@router.get("/models/{name}/config", **schemas.CONFIG)
@router.get("/models/{name}/versions/{version}/config", **schemas.CONFIG_VERSION)
async def config(request: Request) -> Response:
    """Returns the configuration of a model in the form of Triton's model configuration extension."""
    manifest = await _manifest(request)
    return json_response(
        schemas.ModelConfig(
            name=manifest.name,
            platform=_platform(manifest),
            backend="celeriac",
            version_policy={"specific": {"versions": [manifest.version]}},
            max_batch_size=manifest.batch.max_rows,
            input=[_dims(spec) for spec in manifest.inputs],
            output=[_dims(spec) for spec in manifest.outputs],
            dynamic_batching={"max_queue_delay_microseconds": round(manifest.batch.max_wait_ms * 1000)},
        )
    )


@router.get("/models/{name}/ready", **schemas.READY)
@router.get("/models/{name}/versions/{version}/ready", **schemas.READY_VERSION)
async def model_ready(request: Request) -> Response:
    """Reports whether a request would be answered: a worker has the model, loads it, or starts for the first request."""
    ref, catalog = path_model(request), container(request).catalog
    version, _ = await catalog.resolve(ref)
    good = catalog.answers(ref.name, version)
    return json_response(schemas.ModelReady(name=ref.name, ready=good), 200 if good else 503)


async def _manifest(request: Request) -> Manifest:
    """Return the manifest, also of a version that cannot be served. Raises ModelUnavailable if there is none."""
    catalog, ref = container(request).catalog, path_model(request)
    _, version = await catalog.resolve(ref)
    return version.manifest or await catalog.serving(ref)


def _platform(manifest: Manifest) -> str:
    if manifest.graph:
        return "onnxruntime_onnx"  # as Triton names it
    if manifest.format in PYTORCH:
        return f"pytorch_{manifest.format}"
    return PYTHON if manifest.format == PYTHON else f"sklearn_{manifest.format}"


def _tensor(spec: TensorSpec, manifest: Manifest) -> schemas.MetadataTensor:
    parameters: Parameters = {}
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
    tensor: schemas.MetadataTensor = {"name": spec.name, "datatype": datatype, "shape": spec.shape}
    if parameters:
        tensor["parameters"] = parameters
    return tensor


def _dims(spec: TensorSpec) -> schemas.ConfigTensor:
    return {
        "name": spec.name,
        "data_type": f"TYPE_{'STRING' if spec.datatype in ('BYTES', TIMESTAMP) else spec.datatype}",
        "dims": spec.shape[1:],
    }
