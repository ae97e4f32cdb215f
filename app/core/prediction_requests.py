"""What a request for a synchronous prediction asks for, whichever protocol it came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from app.core import protocol
from app.core.errors import InvalidInput
from app.core.inputs import method_of, requested_outputs
from app.core.models import Manifest
from app.core.tensors import Tensor
from app.core.tiers import Tier


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """A parsed request.

    Attributes:
        inputs: Tensors that match the manifest.
        outputs: Names of the requested outputs.
        timeout_s: Seconds to wait for the result, or None.
        tier: Service tier.
    """

    inputs: list[Tensor]
    outputs: tuple[str, ...]
    timeout_s: float | None = None
    tier: Tier = Tier.DEFAULT

    @classmethod
    def of(
        cls, manifest: Manifest, inputs: list[Tensor], parameters: Mapping[str, Any] | None = None, pointer: str = "/parameters"
    ) -> Self:
        """Return the request with the parameters `method`, `timeout` and `priority`. Others are ignored.

        Raises InvalidInput for a parameter that is invalid. `pointer` says where they are.
        """
        parameters = parameters or {}
        return cls(
            inputs,
            outputs_of(manifest, parameters.get("method"), f"{pointer}/method"),
            protocol.timeout_s(parameters, pointer),
            protocol.tier(parameters, pointer),
        )


def outputs_of(manifest: Manifest, method: object, pointer: str) -> tuple[str, ...]:
    """Return the requested output, or the model's default outputs if the request names none. Raises InvalidInput."""
    if method is None:
        return requested_outputs(None, manifest)
    try:
        return (method_of(method, manifest),)
    except InvalidInput as error:
        error.pointer = pointer
        raise
