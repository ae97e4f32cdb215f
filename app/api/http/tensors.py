"""The body of a request of the Open Inference Protocol: JSON, and raw bytes after it.

The binary tensor data extension: the header `Inference-Header-Content-Length` says how many bytes of the body are JSON.
The raw data of the tensors whose parameter `binary_data_size` is set follow, in the order of the tensors.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from app.api.http.bodies import header
from app.api.http.params import whole

JSON_LENGTH: Final = "inference-header-content-length"


def json_bytes(request: Request, size: int) -> int | None:
    """How many bytes of a body of `size` bytes are JSON; None if all are. Raises InvalidInput for a length that cannot be."""
    length = header(request, JSON_LENGTH.encode())
    return None if length is None else whole(length, JSON_LENGTH, 0, size)
