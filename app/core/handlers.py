"""Handlers of work that is not a single prediction: a chunk of a batch, a step of a pipeline, a training.

Each is a job in a delivery of its own, so all that holds for a prediction holds for it: the lease, attempts that count
the deaths of workers, retries, time limits, cancellation. What it is to do, and what came of it, is JSON and small: data
travel by reference.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Protocol

from app.core.errors import InvalidInput
from app.core.models import RetryPolicy
from app.core.tensors import Tensor, elements, encode

SPEC: Final = "spec"
RESULT: Final = "result"


class Context(Protocol):
    """What a worker process gives to the work that it runs."""

    @property
    def job(self) -> str: ...

    @property
    def attempt(self) -> int: ...

    @property
    def redis(self) -> Any:
        """The process' connection to Redis, for handlers that read what they work on."""

    @property
    def worker(self) -> str:
        """The name of the worker process."""

    def model(self, name: str, version: str) -> Any:
        """The loaded model. Raises ModelUnavailable."""

    def predict_rows(self, model: Any, rows: Any, method: str | None) -> Any:
        """Call a model with rows as JSON has them."""

    def progress(self, fraction: float, text: str = "") -> None:
        """Says how far it has come; told to whoever watches, a few times a second at most."""

    def wanted(self) -> bool:
        """Is it still to be done here? Not once it was cancelled, or another attempt runs. Raises ConnectionError."""


Handler = Callable[[dict[str, Any], Context], dict[str, Any]]
"""Runs in a worker process. What it raises: a CeleriacError is told to the caller; ConnectionError and TimeoutError are tried again."""

HANDLERS: Final[dict[str, Handler]] = {}


def handler(kind: str) -> Callable[[Handler], Handler]:
    """Registers what runs deliveries of a kind."""

    def register(run: Handler) -> Handler:
        HANDLERS[kind] = run
        return run

    return register


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What is to be done, and how often it is tried."""

    spec: dict[str, Any]
    retries: RetryPolicy = field(default_factory=RetryPolicy)

    def pack(self) -> list[Tensor]:
        return [as_tensor(SPEC, {"spec": self.spec, "retries": asdict(self.retries)})]

    @classmethod
    def unpack(cls, inputs: list[Tensor]) -> TaskSpec:
        found = from_tensor(inputs[0])
        return cls(found["spec"], RetryPolicy(**found["retries"]))


def as_tensor(name: str, value: dict[str, Any]) -> Tensor:
    """JSON in a BYTES tensor of shape [1]. Raises InvalidInput for what JSON does not know."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} is not JSON: {error}", pointer=f"/{name}") from None
    return Tensor(name, "BYTES", (1,), encode([text], "BYTES"))


def from_tensor(tensor: Tensor) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(elements(tensor.data)[0] or b"{}")
    return found
