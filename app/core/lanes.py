"""The two lanes of a synchronous prediction: the queue, and the direct lane, on which the process that was asked predicts itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.core.models import PYTHON, Manifest


class Lane(StrEnum):
    """Where a synchronous prediction runs."""

    DIRECT = "direct"
    """In the API process that received the request."""
    QUEUE = "queue"
    """In a worker."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The lane of a version, and why."""

    lane: Lane
    reason: str


def obstacle(manifest: Manifest) -> str:
    """Return why the manifest of a version rules out the direct lane, or an empty string."""
    if manifest.direct is False:
        return "Its manifest sets direct: false."
    if manifest.format == PYTHON:
        return "It is Python code, which only workers run."
    if manifest.format != "onnx":
        return "It is not an ONNX graph. Publish it with format='onnx' to compile it."
    if manifest.graph and not manifest.direct:
        return "It is a graph that was not compiled by Celeriac. Set direct: true in its model.yaml if it is safe in an API process."
    if manifest.golden is None:
        return "It has no golden sample. Publish it with a sample."
    if manifest.memory_limit_mb:
        return "It has a memory limit, which only workers enforce."
    return ""
