"""Requests and responses of the Open Inference Protocol: JSON, and raw bytes after it.

The binary tensor data extension: the header `Inference-Header-Content-Length` says how many bytes of the body are JSON.
The raw data of the tensors whose parameter `binary_data_size` is set follow, in the order of the tensors.
"""

from __future__ import annotations

from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.api.http import params
from app.api.http.headers import header
from app.api.http.offload import Offload
from app.api.http.reading import Inference, detached_inference, inference
from app.api.schemas.results import detached, infer_json
from app.core import protocol
from app.core.models import Manifest
from app.core.tensors import Tensor

_JSON_LENGTH: Final = "inference-header-content-length"
_RAW: Final = 64
"""Bytes of raw data that cost as much as one byte of JSON, because raw numbers are not parsed."""


class OpenInference:
    """Converts bodies of the protocol. Large ones are converted outside the event loop."""

    def __init__(self, offload: Offload) -> None:
        self._offload = offload

    async def parse(self, request: Request, content: bytes, manifest: Manifest, ref: str | None) -> Inference:
        """Return the request in a body.

        Args:
            request: The request.
            content: Its body.
            manifest: The version to predict with.
            ref: The model reference, to make a fingerprint of the payload. None makes none.

        Raises:
            InvalidJSON: The body is not JSON.
            InvalidInput: A field or the length of the JSON is invalid.
            InvalidTensor: A tensor does not match the manifest.
        """
        length = header(request, _JSON_LENGTH.encode())
        json_bytes = None if length is None else params.integer(length, _JSON_LENGTH, 0, len(content))
        size = len(content) if json_bytes is None else json_bytes + (len(content) - json_bytes) // _RAW
        parse = inference if size <= self._offload.above_bytes else detached_inference
        return await self._offload.run(size, parse, content, json_bytes, manifest, ref)

    async def response(self, manifest: Manifest, id: str, outputs: list[Tensor], binary: list[bool]) -> Response:
        """Return the response with the outputs of a prediction.

        Args:
            manifest: The version that predicted.
            id: ID of the request or of its job.
            outputs: The requested outputs.
            binary: Whether to send each of them as raw data.
        """
        head = {"model_name": manifest.name, "model_version": manifest.version, "id": id}
        size = sum(len(tensor.data) for tensor, raw in zip(outputs, binary, strict=True) if not raw)
        if size > self._offload.above_bytes and not any(binary):
            return Response(await self._offload.run(size, infer_json, detached(outputs), head), media_type="application/json")
        listed, raw = protocol.write(outputs, binary)
        body = orjson.dumps({**head, "outputs": listed})
        if not raw:
            return Response(body, media_type="application/json")
        headers = {_JSON_LENGTH: str(len(body))}
        return Response(b"".join((body, *raw)), headers=headers, media_type="application/octet-stream")
