"""Parses the bodies of requests. Large JSON, and tables, are parsed in a process of `offload`, which imports this file and no web framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from app.api.schemas.results import detached
from app.core import protocol, usual_inputs
from app.core.cloud_events import CloudEvent, unwrapped
from app.core.errors import InvalidInput, InvalidJSON, PayloadTooLarge
from app.core.fields import DEEPEST, TOO_DEEP, not_json, reject_unknown_fields, too_deep
from app.core.handlers import as_tensor
from app.core.inputs import from_rows, from_tensors
from app.core.large_inputs import LargeInputs
from app.core.models import Manifest
from app.core.prediction_requests import PredictionRequest
from app.core.tensors import Tensor
from app.core.tiers import Tier
from app.services.identity import fingerprint
from app.services.large_json import dumps
from app.services.requests.embeddings import EmbeddingRequest
from app.services.requests.invocations import Invocation
from app.services.requests.v1_predictions import V1Prediction

_SMALL_BYTES: Final = 64 << 10


def parse_object(body: bytes | memoryview) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        InvalidJSON: The body is not JSON.
        InvalidInput: It is not an object, or is nested too deeply.
    """
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidJSON(f"The body is {not_json(bytes(body), error)}") from None
    if not isinstance(parsed, dict):
        raise InvalidInput(f"The body must be a JSON object, not {type(parsed).__name__}.", pointer="")
    # Few brackets cannot be many levels. Most bodies have few, and are not searched.
    text = bytes(body)
    if text.count(b"[") + text.count(b"{") > DEEPEST and too_deep(parsed):
        raise InvalidInput(TOO_DEEP, pointer="")
    return parsed


@dataclass(frozen=True, slots=True)
class Inference:
    """A request of the Open Inference Protocol.

    Attributes:
        id: ID that the caller gave, or None.
        timeout_s: Seconds to wait for the result, or None.
        tier: Service tier.
        inputs: Tensors that match the manifest.
        outputs: Names of the requested outputs.
        binary: Whether to send each output as raw data.
        fingerprint: Fingerprint of the payload, or an empty string.
    """

    id: str | None
    timeout_s: float | None
    tier: Tier
    inputs: list[Tensor]
    outputs: tuple[str, ...]
    binary: list[bool]
    fingerprint: str


def inference(content: bytes, json_bytes: int | None, manifest: Manifest, ref: str | None) -> Inference:
    """Return a parsed request of the Open Inference Protocol.

    Args:
        content: The body.
        json_bytes: How many bytes of it are JSON. The rest is raw data. None if all of it is JSON.
        manifest: The version to predict with.
        ref: The model reference, to make a fingerprint. None makes none.

    Raises:
        InvalidJSON: The body is not JSON.
        InvalidInput: A field is invalid.
        InvalidTensor: A tensor does not match the manifest.
        UnknownField: The request has an unknown field.
    """
    raw = memoryview(content)[len(content) if json_bytes is None else json_bytes :]
    body = parse_object(content if json_bytes is None else content[:json_bytes])
    reject_unknown_fields(body, "id", "parameters", "inputs", "outputs")
    id = body.get("id")
    if id is not None and not isinstance(id, str):
        raise InvalidInput("Field id must be a string.", pointer="/id")
    parameters = protocol.parameters(body)
    outputs, binary = protocol.outputs(body, parameters, manifest)
    inputs = None if raw else usual_inputs.read(manifest, body.get("inputs"))
    if inputs is None:
        inputs = from_tensors(manifest, protocol.read(protocol.listed(body, "inputs"), raw))
    digest = fingerprint(ref, body, raw) if ref is not None else ""
    return Inference(id, protocol.timeout_s(parameters), protocol.tier(parameters), inputs, outputs, binary, digest)


def detached_inference(content: bytes, json_bytes: int | None, manifest: Manifest, ref: str | None) -> Inference:
    """Return the same as `inference`, from another process: a view into the content cannot be sent."""
    request = inference(content, json_bytes, manifest, ref)
    return replace(request, inputs=detached(request.inputs))


def submission(content: bytes) -> dict[str, Any]:
    """Return the body of a job whose inputs are `LargeInputs`, without their content.

    Raises:
        InvalidJSON: The body is not JSON.
        InvalidInput: It is not an object, or is nested too deeply.
        PayloadTooLarge: The other fields are large.
    """
    body = parse_object(content)
    body.setdefault("inputs", None)
    digest = fingerprint(body)
    inputs = body["inputs"]
    if len(dumps({**body, "inputs": None})) > _SMALL_BYTES:
        raise PayloadTooLarge(f"The fields other than inputs are larger than {_SMALL_BYTES} bytes.")
    if "pipeline" in body and isinstance(inputs, dict):
        body["inputs"] = LargeInputs(b"", digest, tuple(inputs), bytes(as_tensor("inputs", inputs).data))
    else:
        body["inputs"] = LargeInputs(b"", digest)
    return body


def table(content: bytes, media_type: str, options: Mapping[str, Any], columns: Sequence[str] | None, manifest: Manifest) -> list[Tensor]:
    """Return the rows of a table as tensors. Raises the errors of `from_table`."""
    from app.data.inputs import from_table  # imports Arrow, which API processes do without

    return from_table(content, media_type, options, columns, manifest)


def rows(content: bytes, manifest: Manifest) -> list[Tensor]:
    """Return the inputs in the body of a job as tensors. Raises the errors of `from_rows`."""
    return from_rows(manifest, parse_object(content).get("inputs"))


def invocation(content: bytes, manifest: Manifest) -> PredictionRequest:
    """Return a request of MLflow's scoring protocol. Raises the errors of `parse_object` and `Invocation`."""
    return Invocation.parse(parse_object(content)).requested(manifest)


def v1_prediction(content: bytes, manifest: Manifest) -> tuple[PredictionRequest, bool]:
    """Return a request of KServe V1, and whether it is by column. Raises the errors of `parse_object` and `V1Prediction`."""
    return _v1_prediction(parse_object(content), manifest)


def v1_event(content: bytes, manifest: Manifest) -> tuple[PredictionRequest, bool, CloudEvent]:
    """Return a request of KServe V1 that is the data of a CloudEvent, as `v1_prediction` does, and the event."""
    event, data = unwrapped(parse_object(content))
    return *_v1_prediction(parse_object(data) if isinstance(data, bytes) else data, manifest), event


def _v1_prediction(parsed: Mapping[str, Any], manifest: Manifest) -> tuple[PredictionRequest, bool]:
    body = V1Prediction.parse(parsed)
    return body.requested(manifest), body.by_column


def embedding(content: bytes) -> EmbeddingRequest:
    """Return a request for embeddings. Raises the errors of `parse_object` and `EmbeddingRequest.parse`."""
    return EmbeddingRequest.parse(parse_object(content))
