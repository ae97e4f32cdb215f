"""The body of a request of the Open Inference Protocol: JSON, and raw bytes after it.

The binary tensor data extension: the header `Inference-Header-Content-Length` says how many bytes of the body are JSON.
The raw data of the tensors whose parameter `binary_data_size` is set follow, in the order of the tensors.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request

from app.api.bodies import header, parse_object
from app.api.query import whole

JSON_LENGTH: Final = "inference-header-content-length"


def parse(request: Request, body: bytes) -> tuple[dict[str, Any], memoryview]:
    """The JSON of a request, and the raw data after it. Raises InvalidInput for a length that cannot be."""
    length = header(request, JSON_LENGTH.encode())
    if length is None:
        return parse_object(body), memoryview(b"")
    size = whole(length, JSON_LENGTH, 0, len(body))
    return parse_object(body[:size]), memoryview(body)[size:]
