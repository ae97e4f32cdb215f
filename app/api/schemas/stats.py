"""/v1/stats."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import Query
from pydantic import Field
from typing_extensions import TypedDict

from app.api.schemas.openapi import documented
from app.api.schemas.queries import RequestQuery
from app.core.models import NAME, POOL, VERSION
from app.core.stats import Grouping
from app.services.requests.body import Pattern
from app.services.requests.times import TimeOrAge

Step = Literal["1m", "5m", "15m", "30m", "1h", "6h", "1d"]


class StatsQuery(RequestQuery):
    """Which figures to return."""

    from_: TimeOrAge | None = Field(
        None,
        alias="from",
        description="Begin of the period: an RFC 3339 timestamp, or an age in `s`, `m`, `h` or `d` (default: an hour before the end).",
        examples=["-24h"],
    )
    to: TimeOrAge | None = Field(None, description="End of the period (default: now).", examples=["2026-02-28T09:30:00Z"])
    step: Step | None = Field(
        None,
        description="Length of a step (default: `1m` up to two hours, `30m` up to a day, else `1d`). Steps below a day reach back 24 hours, `1d` 400 days.",
    )
    model: Annotated[str, Pattern(NAME, "Use the name of a model, for example wine.")] | None = Field(None, description="Only this model.")
    version: Annotated[str, Pattern(VERSION, "Use a version, for example 3.")] | None = Field(
        None, description="Only this version. It needs `model`."
    )
    pool: Annotated[str, Pattern(POOL, "Use the name of a pool, for example gpu.")] | None = Field(None, description="Only this pool.")
    group_by: Grouping | None = Field(
        None, strict=False, description="Separate figures of each model, version or pool (default: all together)."
    )


class Figures(TypedDict):
    """Figures of a whole period."""

    submitted: Annotated[int, Field(description="Jobs and synchronous predictions that were accepted.")]
    succeeded: int
    failed: int
    cancelled: int
    expired: Annotated[int, Field(description="Those whose deadline passed, or whose caller waited for too long.")]
    rows: Annotated[int, Field(description="Rows of those that succeeded.")]
    rate: Annotated[float, Field(description="Submitted per second.")]
    run_s: Annotated[
        float, Field(description="Seconds that processes spent on them. A call for several of them counts once, and only the last attempt.")
    ]
    wait_p50_s: Annotated[float | None, Field(description="Median of the seconds until the first start; null if nothing ran.")]
    wait_p95_s: float | None
    wait_p99_s: float | None
    run_p50_s: Annotated[float | None, Field(description="Median of the seconds of the run; null if nothing ran.")]
    run_p95_s: float | None
    run_p99_s: float | None


class Points(TypedDict):
    """The same figures for each step: as many values as `times` has."""

    submitted: list[int]
    succeeded: list[int]
    failed: list[int]
    cancelled: list[int]
    expired: list[int]
    rows: list[int]
    rate: list[float]
    run_s: list[float]
    wait_p50_s: list[float | None]
    wait_p95_s: list[float | None]
    wait_p99_s: list[float | None]
    run_p50_s: list[float | None]
    run_p95_s: list[float | None]
    run_p99_s: list[float | None]


class StatsGroup(TypedDict):
    """Figures of the model versions that belong together."""

    model: Annotated[str | None, Field(description="Null unless the groups are models or versions.")]
    version: Annotated[str | None, Field(description="Null unless the groups are versions.")]
    pool: Annotated[str | None, Field(description="Null unless the groups are pools.")]
    total: Figures
    points: Points


class Stats(TypedDict):
    """Figures of a period. They name no owner."""

    step_s: Annotated[int, Field(description="Seconds of a step.", examples=[60])]
    times: Annotated[list[str], Field(description="Begin of each step. The first and the last step contain the ends of the period.")]
    items: Annotated[list[StatsGroup], Field(description="The groups. Without `group_by`, one group, or none if nothing was submitted.")]


def _read(query: Annotated[StatsQuery, Query()]) -> None: ...


READ: Final = documented(_read, Stats, response_description="The figures.")
