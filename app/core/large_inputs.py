"""Inputs of a large request."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LargeInputs:
    """Placeholder for the inputs of a large request, so that the event loop never parses them.

    Attributes:
        content: The complete JSON body. The process that needs the inputs parses it.
        fingerprint: Fingerprint of the complete payload.
        names: Names of the inputs, for a pipeline.
        packed: Inputs of a pipeline, in the form in which they are stored.
    """

    content: bytes
    fingerprint: str
    names: tuple[str, ...] = ()
    packed: bytes = b""
