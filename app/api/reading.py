"""What a request's JSON says, as functions of bytes. Large bodies are read in a process of `offload`, which imports this file and no web framework."""

from __future__ import annotations

import hashlib
import resource
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from app.core import protocol
from app.core.errors import InvalidInput, InvalidJSON, PayloadTooLarge
from app.core.fields import DEEPEST, TOO_DEEP, known, not_json, too_deep
from app.core.inputs import from_rows, from_tensors
from app.core.models import Manifest
from app.core.protocol import nested
from app.core.tensors import Tensor
from app.core.works import as_tensor

_SMALL_BYTES: Final = 64 << 10


def parse_object(body: bytes | memoryview) -> dict[str, Any]:
    """A JSON object. Raises InvalidJSON or InvalidInput."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidJSON(f"the body is {not_json(bytes(body), error)}") from None
    if not isinstance(found, dict):
        raise InvalidInput(f"the body must be an object, not {type(found).__name__}", pointer="")
    # Few brackets cannot be many levels, and most bodies have few: those need no look.
    text = bytes(body)
    if text.count(b"[") + text.count(b"{") > DEEPEST and too_deep(found):
        raise InvalidInput(TOO_DEEP, pointer="")
    return found


def fingerprint(*payload: Any) -> str:
    """Of JSON types, whatever the order of their fields, and of raw data."""
    found = hashlib.sha256()
    for part in payload:
        found.update(part if isinstance(part, bytes | memoryview) else _dumps(part, orjson.OPT_SORT_KEYS))
    return found.hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Inference:
    """A request of the Open Inference Protocol. `binary` says which outputs are to be sent as raw data."""

    id: str | None
    timeout_s: float | None
    inputs: list[Tensor]
    outputs: tuple[str, ...]
    binary: list[bool]
    fingerprint: str


def inference(content: bytes, json_bytes: int | None, manifest: Manifest, ref: str | None) -> Inference:
    """The first `json_bytes` of the content are JSON, the rest is raw data. The fingerprint is empty if `ref` is None.

    Raises InvalidJSON, InvalidInput, InvalidTensor or UnknownField.
    """
    raw = memoryview(content)[len(content) if json_bytes is None else json_bytes :]
    body = parse_object(content if json_bytes is None else content[:json_bytes])
    known(body, "id", "parameters", "inputs", "outputs")
    id = body.get("id")
    if id is not None and not isinstance(id, str):
        raise InvalidInput("id must be a string", pointer="/id")
    parameters = protocol.parameters(body)
    outputs, binary = protocol.outputs(body, parameters, manifest)
    inputs = from_tensors(manifest, protocol.read(protocol.listed(body, "inputs"), raw))
    made = fingerprint(ref, body, raw) if ref is not None else ""
    return Inference(id, protocol.timeout_s(parameters), inputs, outputs, binary, made)


def detached_inference(content: bytes, json_bytes: int | None, manifest: Manifest, ref: str | None) -> Inference:
    """As `inference`, for another process: a view into the content cannot be sent."""
    found = inference(content, json_bytes, manifest, ref)
    return replace(found, inputs=detached(found.inputs))


def detached(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors with data of their own: views cannot be sent to another process."""
    return [replace(tensor, data=bytes(tensor.data)) for tensor in tensors]


@dataclass(frozen=True, slots=True)
class Large:
    """Placeholder for the inputs of a large job. They are parsed in the process that reads `content`. `packed` holds the inputs of a pipeline as they are stored."""

    content: bytes
    fingerprint: str
    names: tuple[str, ...] = ()
    packed: bytes = b""


def submission(content: bytes) -> dict[str, Any]:
    """The body of a job whose inputs are `Large`, without its content. Raises InvalidJSON or InvalidInput."""
    body = parse_object(content)
    body.setdefault("inputs", None)
    made = fingerprint(body)
    inputs = body["inputs"]
    if len(_dumps({**body, "inputs": None})) > _SMALL_BYTES:
        raise PayloadTooLarge(f"The fields other than inputs are larger than {_SMALL_BYTES} bytes.")
    if "pipeline" in body and isinstance(inputs, dict):
        body["inputs"] = Large(b"", made, tuple(inputs), bytes(as_tensor("inputs", inputs).data))
    else:
        body["inputs"] = Large(b"", made)
    return body


def rows(content: bytes, manifest: Manifest) -> list[Tensor]:
    """The inputs in the body of a job as tensors. Raises as `from_rows`."""
    return from_rows(manifest, parse_object(content).get("inputs"))


def result(outputs: Sequence[Tensor]) -> Any:
    """The rows of the one output that was asked; of several, an object by name."""
    if len(outputs) == 1:
        return nested(outputs[0])
    return {tensor.name: nested(tensor) for tensor in outputs}


def result_json(outputs: Sequence[Tensor]) -> bytes:
    """As `result`, as JSON."""
    return _dumps(result(outputs))


def listed_json(outputs: Sequence[Tensor], head: dict[str, Any]) -> bytes:
    """The answer of the Open Inference Protocol without raw data, as JSON."""
    return _dumps({**head, "outputs": protocol.write(outputs, [False] * len(outputs))[0]})


def _dumps(value: Any, option: int | None = None) -> bytes:
    """JSON, without the limit that a process of `offload` has on its address space.

    orjson reserves some 260 bytes for each element of a list before it writes the list, uses few of them, keeps them as long as the
    JSON, and crashes if it does not get them.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft == hard:
        return orjson.dumps(value, option=option)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    try:
        return bytes(memoryview(orjson.dumps(value, option=option)))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
