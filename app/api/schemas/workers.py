"""/v1/workers."""

from __future__ import annotations

from typing import Annotated, Final, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from app.api.schemas.openapi import documented


class RefusedVersion(TypedDict):
    """A version that a worker does not serve."""

    version: Annotated[str, Field(description="The version, `name@version`.")]
    reason: str


class Worker(TypedDict):
    """A worker with a recent heartbeat."""

    name: Annotated[str, Field(description="Name of the worker, `pool@host-pid`. In Kubernetes, the host is the pod.")]
    pool: str
    host: str
    processes: Annotated[int, Field(description="Deliveries that it can run at once.")]
    ready: Annotated[list[str], Field(description="Versions that it serves, `name@version`.")]
    loading: Annotated[list[str], Field(description="Versions that it is loading.")]
    refused: Annotated[list[RefusedVersion], Field(description="Versions that it does not serve, with the reason.")]
    start_s: Annotated[float, Field(description="Seconds from its start until it took work; 0 before.")]
    seen_at: Annotated[str | None, Field(description="Time of its last heartbeat.")]


class RunningDelivery(TypedDict):
    """What a process runs."""

    process: Annotated[str, Field(description="The process, `host/pid`.")]
    pool: str
    job: Annotated[str, Field(description="ID of the job, or of the first of several that run in one call.")]
    jobs: Annotated[int, Field(description="Number of jobs that run in one call.")]
    kind: NotRequired[Annotated[str, Field(description="Kind of the job; absent for a prediction.")]]
    model: NotRequired[Annotated[str, Field(description="Name of the model or pipeline, if the job has one.")]]
    version: NotRequired[str]
    started_at: str | None


class Workers(TypedDict):
    """Every living worker, and what their processes run."""

    items: list[Worker]
    running: Annotated[
        list[RunningDelivery],
        Field(description="What processes run, the longest first. Predictions whose caller waits without a job are left out."),
    ]
    complete: Annotated[bool, Field(description="`false` if more than 1,000 deliveries run, and some are left out.")]


def _none() -> None: ...


LIST: Final = documented(_none, Workers, response_description="Every living worker.")
