"""The body of /v1/schedules."""

from __future__ import annotations

import math
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field

from app.core.schedules import LONGEST_S, NAME, SHORTEST_S, Missed, Schedule
from app.services.requests.body import Integer, Pattern, RequestBody

_EXAMPLE: Final[Any] = {
    "name": "nightly",
    "cron": "30 2 * * mon-fri",
    "timezone": "Europe/Zurich",
    "run": {"training": {"trainer": "ridge", "dataset": "sales.csv", "target": "sold", "model": "sales"}},
}
Kind = Literal["training", "batch", "pipeline"]
Run = Annotated[
    dict[Kind, dict[str, Any]],
    Field(
        description="One thing to run, with the request that the API takes for it: `training` as /v1/trainings, `batch` as /v1/batches, "
        "`pipeline` as /v1/jobs.",
        min_length=1,
        max_length=1,
        examples=[_EXAMPLE["run"]],
    ),
]


class Creation(RequestBody):
    """A schedule to create."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: Annotated[str, Pattern(NAME, "Use lowercase letters, digits, - and _, for example nightly.")] = Field(examples=["nightly"])
    description: str = Field("", max_length=500, description="Human-readable description.")
    cron: str | None = Field(
        None,
        max_length=200,
        description="Minute, hour, day of the month, month and day of the week, or @daily and the like.",
        examples=["0 3 * * *"],
    )
    every_s: Integer | None = Field(None, ge=SHORTEST_S, le=LONGEST_S, description="Seconds between two runs, instead of `cron`.")
    timezone: str = Field("UTC", description="IANA name of the time zone of `cron`.", examples=["Europe/Zurich"])
    missed: Annotated[Missed, Field(strict=False)] = Field(
        Missed.SKIP, description="What happens to runs that could not start in time: they are skipped, or made up for by one run."
    )
    run: Run
    paused: bool = Field(False, description="Create the schedule without starting it.")

    def checked(self, now: float) -> Schedule:
        """Return the schedule. Raises InvalidInput for a time that never comes."""
        [(kind, request)] = self.run.items()
        given = self.model_dump(exclude={"run", "paused"}, exclude_none=True)
        schedule = Schedule(kind=kind, request=request, created_at=math.floor(now), **given)
        schedule.check()
        return schedule
