"""Handlers of tasks other than a prediction: a chunk of a batch, a step of a pipeline, a training.

Each task is a job in its own delivery, with the guarantees of a prediction: the lease, attempts that count the deaths of workers, retries, time
limits, cancellation. Its spec and its result are small JSON; data are passed by reference.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Protocol

from app.core.errors import InvalidInput
from app.core.models import RetryPolicy
from app.core.tensors import Tensor, elements, encode

SPEC: Final = "spec"
RESULT: Final = "result"


class Context(Protocol):
    """What a worker process offers to the task that it runs."""

    @property
    def job(self) -> str:
        """The id of the job."""

    @property
    def attempt(self) -> int:
        """The number of the attempt, starting at 1."""

    @property
    def redis(self) -> Any:
        """The process' connection to Redis, for handlers that read what they work on."""

    @property
    def worker(self) -> str:
        """The name of the worker process."""

    def model(self, name: str, version: str) -> Any:
        """Return the loaded model. Raises ModelUnavailable."""

    def predict_rows(self, model: Any, rows: Any, method: str | None) -> Any:
        """Call a model with rows as JSON has them."""

    def progress(self, fraction: float, text: str = "") -> None:
        """Report the progress of the task. Watchers get it a few times per second at most."""

    def wanted(self) -> bool:
        """Return False once the job was cancelled or another attempt runs. Raises ConnectionError."""


Handler = Callable[[dict[str, Any], Context], dict[str, Any]]
"""Runs a task in a worker process. A CeleriacError is the job's error; ConnectionError and TimeoutError are retried."""

Handlers = Mapping[str, Handler]
"""The handler of each kind of task."""


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What a task is to do, and how often it is tried."""

    spec: dict[str, Any]
    retries: RetryPolicy = field(default_factory=RetryPolicy)

    def pack(self) -> list[Tensor]:
        """Encode the spec as the inputs of a delivery."""
        return [as_tensor(SPEC, {"spec": self.spec, "retries": asdict(self.retries)})]

    @classmethod
    def unpack(cls, inputs: list[Tensor]) -> TaskSpec:
        """Decode the inputs of a delivery."""
        stored = from_tensor(inputs[0])
        return cls(stored["spec"], RetryPolicy(**stored["retries"]))


def as_tensor(name: str, value: dict[str, Any]) -> Tensor:
    """Return JSON in a BYTES tensor of shape [1]. Raises InvalidInput for a value that is not JSON."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} is not JSON: {error}", pointer=f"/{name}") from None
    return Tensor(name, "BYTES", (1,), encode([text], "BYTES"))


def from_tensor(tensor: Tensor) -> dict[str, Any]:
    """Return the JSON in a tensor that `as_tensor` made."""
    value: dict[str, Any] = json.loads(elements(tensor.data)[0] or b"{}")
    return value
