"""/v1/pools."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, Field

from app.api.server.plain_route import documented


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
    minimum: int | None = Field(description="Null where nothing scales the pool.")
    maximum: int | None
    last_event: LastEvent | None


class Pool(BaseModel):
    """Workers with the same models and queues."""

    pool: str
    waiting: Lanes
    running: int = Field(description="Deliveries that workers hold.")
    workers: int = Field(description="Workers that said lately that they live.")
    processes: int = Field(description="Predictions that they run at once.")
    scaling: PoolScaling | None = Field(description="Null where no cluster is asked.")
    obstacles: list[str] = Field(description="What keeps the pool from working or growing, in sentences; empty where nothing does.")


class Pools(BaseModel):
    """Every pool, by name."""

    items: list[Pool]
    note: str | None = Field(description="Why the cluster says nothing; null where it does.")


def _none() -> None: ...


LIST: Final = documented(_none, Pools, response_description="Every pool.")
