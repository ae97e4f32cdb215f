"""/v1/pools."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, Field

from app.api.schemas.openapi import documented


class Lanes(BaseModel):
    """Deliveries that wait, each of one or many jobs."""

    interactive: int = Field(description="Of single predictions; taken first.")
    bulk: int = Field(description="Of batches.")


class LastEvent(BaseModel):
    """What the scaler did last, in the cluster's words."""

    at: str
    reason: str = Field(examples=["SuccessfulRescale"])
    message: str


class PoolScaling(BaseModel):
    """The pods of a pool."""

    wanted: int
    ready: int
    minimum: int | None = Field(description="Null if nothing scales the pool.")
    maximum: int | None
    last_event: LastEvent | None


class Pool(BaseModel):
    """Workers with the same models and queues."""

    pool: str
    waiting: Lanes
    running: int = Field(description="Deliveries that workers process.")
    workers: int = Field(description="Workers with a recent heartbeat.")
    processes: int = Field(description="Predictions that the workers can run at once.")
    scaling: PoolScaling | None = Field(description="State of the pods; null outside Kubernetes.")
    obstacles: list[str] = Field(description="Reasons why the pool does not work or grow, in sentences.")


class Pools(BaseModel):
    """Every pool, by name."""

    items: list[Pool]
    note: str | None = Field(description="Why the state of the cluster is missing; null if it is present.")


def _none() -> None: ...


LIST: Final = documented(_none, Pools, response_description="Every pool.")
