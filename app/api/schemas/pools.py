"""/v1/pools."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Body, Path
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypedDict

from app.api.schemas.openapi import documented
from app.core.pools import PoolMode
from app.services.requests.pools import StateChange

Name = Annotated[str, Path(description="Name of the pool.", examples=["gpu"])]


class Lanes(TypedDict):
    """Deliveries that wait, each of one or many jobs."""

    priority: Annotated[int, Field(description="Of the service tier `priority`; taken first.")]
    interactive: Annotated[int, Field(description="Of single predictions; taken next.")]
    bulk: Annotated[int, Field(description="Of batches; taken after those.")]
    flex: Annotated[int, Field(description="Of the service tier `flex`; taken last.")]


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


class KeyName(TypedDict):
    """An API key by its ID and name."""

    id: str
    name: str


class PoolState(TypedDict):
    """Whether a pool accepts and runs work."""

    pool: str
    state: Annotated[
        PoolMode,
        Field(
            description="active; paused: work is accepted, and workers take none of it; draining: new work is refused, and the rest is completed."
        ),
    ]
    since: Annotated[str | None, Field(description="When it was paused or drained; null if it is active.")]
    by: Annotated[KeyName | None, Field(description="API key that did it; null if it is active, or if the request had no key.")]
    reason: Annotated[str | None, Field(description="Reason that the caller gave.")]


class Demand(TypedDict):
    """What a pool has to do, and what it wants."""

    wanted: Annotated[int, Field(description="Processes that the pool needs; 0 if it needs none.")]
    pods: Annotated[int, Field(description="Pods that have these processes. Without a living worker, a pod counts as one process.")]
    slo_s: Annotated[
        float | None, Field(description="Seconds within which jobs start; null if the pool has no promise and counts deliveries.")
    ]
    arrival_rate: Annotated[
        float,
        Field(description="Jobs that arrived per second within the last minute, of models with run times and not on the direct lane."),
    ]
    waiting_work_s: Annotated[float, Field(description="Seconds that the jobs which wait are expected to run, all together.")]
    oldest_wait_s: Annotated[float, Field(description="Seconds that the oldest delivery has waited.")]
    wait_p95_s: Annotated[float | None, Field(description="95th percentile of recent waits in seconds; null if no job has ended lately.")]
    start_s: Annotated[float, Field(description="Seconds that the last worker took to start; 0 if none has started.")]
    reasons: Annotated[list[str], Field(description="What the number follows from, in sentences.")]


class Pool(PoolState):
    """Workers with the same models and queues."""

    waiting: Lanes
    held_back: Annotated[int, Field(description="Deliveries that wait for a slot of their concurrency key. They do not count as waiting.")]
    running: Annotated[int, Field(description="Deliveries that workers process.")]
    workers: Annotated[int, Field(description="Workers with a recent heartbeat.")]
    processes: Annotated[int, Field(description="Predictions that the workers can run at once.")]
    demand: Annotated[Demand, Field(description="What the pool has to do and wants, at most a second old.")]
    scaling: Annotated[PoolScaling | None, Field(description="State of the pods; null outside Kubernetes.")]
    obstacles: Annotated[list[str], Field(description="Reasons why the pool does not work or grow, in sentences.")]


class Pools(TypedDict):
    """Every pool, by name."""

    items: list[Pool]
    note: Annotated[str | None, Field(description="Why the state of the cluster is missing; null if it is present.")]


class PoolWanted(Demand):
    """How many processes a pool wants."""

    pool: str


def _none() -> None: ...


def _change(name: Name, body: Annotated[StateChange | SkipJsonSchema[None], Body()] = None) -> None: ...


def _by_name(name: Name) -> None: ...


LIST: Final = documented(_none, Pools, response_description="Every pool.")
WANTED: Final = documented(_by_name, PoolWanted, response_description="What the pool wants.")
PAUSE: Final = documented(_change, PoolState, response_description="The pool, paused.")
DRAIN: Final = documented(_change, PoolState, response_description="The pool, draining.")
RESUME: Final = documented(_by_name, PoolState, response_description="The pool, active.")
