"""/v1/pools."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field
from typing_extensions import TypedDict

from app.api.schemas.openapi import documented


class Lanes(TypedDict):
    """Deliveries that wait, each of one or many jobs."""

    interactive: Annotated[int, Field(description="Of single predictions; taken first.")]
    bulk: Annotated[int, Field(description="Of batches.")]


class LastEvent(TypedDict):
    """What the scaler did last, in the cluster's words."""

    at: str
    reason: Annotated[str, Field(examples=["SuccessfulRescale"])]
    message: str


class PoolScaling(TypedDict):
    """The pods of a pool."""

    wanted: int
    ready: int
    minimum: Annotated[int | None, Field(description="Null if nothing scales the pool.")]
    maximum: int | None
    last_event: LastEvent | None


class Pool(TypedDict):
    """Workers with the same models and queues."""

    pool: str
    waiting: Lanes
    running: Annotated[int, Field(description="Deliveries that workers process.")]
    workers: Annotated[int, Field(description="Workers with a recent heartbeat.")]
    processes: Annotated[int, Field(description="Predictions that the workers can run at once.")]
    scaling: Annotated[PoolScaling | None, Field(description="State of the pods; null outside Kubernetes.")]
    obstacles: Annotated[list[str], Field(description="Reasons why the pool does not work or grow, in sentences.")]


class Pools(TypedDict):
    """Every pool, by name."""

    items: list[Pool]
    note: Annotated[str | None, Field(description="Why the state of the cluster is missing; null if it is present.")]


def _none() -> None: ...


LIST: Final = documented(_none, Pools, response_description="Every pool.")
