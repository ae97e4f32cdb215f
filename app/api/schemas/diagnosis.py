"""The diagnosis of a job."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field
from typing_extensions import TypedDict

from app.api.schemas.jobs import Id
from app.api.schemas.openapi import documented
from app.core.diagnosis import StationName
from app.core.jobs import State


class Station(TypedDict):
    """How long the job has been at a station."""

    station: StationName
    seconds: float
    usual_p50_s: Annotated[
        float | None,
        Field(description="Median of the recent jobs of the version; null if there are fewer than 20, or the station has no figures."),
    ]
    usual_p99_s: Annotated[float | None, Field(description="Their 99th percentile.")]
    slow: Annotated[bool, Field(description="Whether it took longer than the 99th percentile.")]


class Diagnosis(TypedDict):
    """Why a job waits, or why it was slow."""

    id: str
    state: State
    stations: Annotated[list[Station], Field(description="The stations that it has reached, in their order.")]
    reasons: Annotated[
        list[str],
        Field(
            description="Sentences on why it waits, was slow or failed; empty if nothing is unusual.",
            examples=[["No job is before it in the queue. Pool 'default' has 4 processes."]],
        ),
    ]


def _read(id: Id) -> None: ...


READ: Final = documented(_read, Diagnosis, response_description="The diagnosis.")
