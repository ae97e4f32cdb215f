"""/v1/schedules."""

from __future__ import annotations

from typing import Annotated, Final, NotRequired

from fastapi import Path, Query
from pydantic import Field
from typing_extensions import TypedDict

from app.api.schemas.jobs import JobError
from app.api.schemas.openapi import documented
from app.api.schemas.queries import Integer, RequestQuery
from app.core.schedules import Missed
from app.services.requests.schedules import Creation, Run

Name = Annotated[str, Path(description="The schedule's name.", examples=["nightly"])]


class Schedule(TypedDict):
    """A schedule."""

    name: str
    owner: NotRequired[Annotated[str, Field(description="Owner of the schedule and of what it starts; absent for the default owner.")]]
    description: str
    cron: str | None
    every_s: int | None
    timezone: str
    missed: Missed
    run: Run
    paused: bool
    next_at: Annotated[str | None, Field(description="When it runs next; null if it is paused.")]
    created_at: str | None
    waits_for: NotRequired[Annotated[str, Field(description="What the schedule waits for before it runs.")]]


class Schedules(TypedDict):
    """Every schedule."""

    items: list[Schedule]


class ScheduledRun(TypedDict):
    """A run that was planned."""

    planned_at: str | None
    state: Annotated[
        str | None,
        Field(
            description="State of the training, batch or pipeline: `missed` or `failed` if nothing started, null once its job has expired.",
            examples=["succeeded"],
        ),
    ]
    kind: Annotated[str | None, Field(description="Kind of the run.", examples=["training"])]
    id: Annotated[str | None, Field(description="The id of the training, batch or pipeline.")]
    error: NotRequired[Annotated[JobError, Field(description="Why it failed, or could not begin.")]]


class Runs(TypedDict):
    """The history of a schedule."""

    items: list[ScheduledRun]


def _create(body: Creation) -> None: ...


def _nothing() -> None: ...


def _by_name(name: Name) -> None: ...


class RunsQuery(RequestQuery):
    """How many runs to list."""

    limit: Integer = Field(20, ge=1, le=100, description="Maximum number of runs.")


def _runs(name: Name, query: Annotated[RunsQuery, Query()]) -> None: ...


CREATE: Final = documented(_create, Schedule, status_code=201, response_description="The schedule.")
LIST: Final = documented(_nothing, Schedules, response_description="The schedules.")
READ: Final = documented(_by_name, Schedule, response_description="The schedule.")
DELETE: Final = documented(_by_name, Schedule, response_description="The schedule as it was.")
PAUSE: Final = documented(_by_name, Schedule, response_description="The schedule, paused.")
RESUME: Final = documented(_by_name, Schedule, response_description="The schedule, with its next time.")
RUN: Final = documented(_by_name, ScheduledRun, status_code=202, response_description="The run, which has begun.")
RUNS: Final = documented(_runs, Runs, response_description="The runs.")
