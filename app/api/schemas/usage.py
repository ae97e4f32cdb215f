"""/v1/usage."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Annotated, Any, Final

from fastapi import Query
from pydantic import Field, PlainValidator, WithJsonSchema
from typing_extensions import TypedDict

from app.api.schemas.openapi import documented
from app.api.schemas.queries import RequestQuery
from app.core.models import NAME, POOL
from app.core.usage_reports import Grouping, UsageFilter
from app.services.requests.api_keys import Owner
from app.services.requests.body import Pattern, refused

_AGE: Final = re.compile(r"-([0-9]{1,4})d")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _day(text: Any) -> date | timedelta:
    if age := _AGE.fullmatch(text):
        return -timedelta(days=int(age[1]))
    try:
        # fromisoformat() accepts weeks, too.
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        raise refused("Use a day such as 2026-02-28, or an age such as -30d.")
    return day


def _groupings(text: Any) -> tuple[Grouping, ...]:
    try:
        return tuple(Grouping(name) for name in text.split(","))
    except ValueError:
        raise refused(f"Use names from {', '.join(Grouping)}, separated by commas, for example owner,model.") from None


_GROUPING: Final = f"({'|'.join(Grouping)})"
DayOrAge = Annotated[
    date | timedelta, PlainValidator(_day), WithJsonSchema({"type": "string", "pattern": f"^({_DAY.pattern}|{_AGE.pattern})$"})
]
Groupings = Annotated[
    tuple[Grouping, ...], PlainValidator(_groupings), WithJsonSchema({"type": "string", "pattern": f"^{_GROUPING}(,{_GROUPING})*$"})
]


class UsageQuery(RequestQuery):
    """Which usage to return."""

    from_: DayOrAge | None = Field(
        None,
        alias="from",
        description="First UTC day, or its age in days, such as `-7d` (default: 30 days with the last one).",
        examples=["2026-02-01"],
    )
    to: DayOrAge | None = Field(None, description="Last UTC day, which is included (default: today).", examples=["2026-02-28"])
    group_by: Groupings = Field(
        (),
        description="What to distinguish, separated by commas: `owner`, `model`, `pool` and `day` (default: nothing, one sum).",
        examples=["owner,model"],
    )
    owner: Owner | None = Field(None, description="Only this owner.")
    model: Annotated[str, Pattern(NAME, "Use the name of a model, for example wine.")] | None = Field(None, description="Only this model.")
    pool: Annotated[str, Pattern(POOL, "Use the name of a pool, for example gpu.")] | None = Field(
        None, description="Only this pool. Its processes are those of all owners and models."
    )

    @property
    def wanted(self) -> UsageFilter:
        """The filters."""
        return UsageFilter(self.owner, self.model, self.pool)


class UsageItem(TypedDict):
    """What a group used."""

    day: Annotated[str | None, Field(description="UTC day; null unless the groups are days.", examples=["2026-02-28"])]
    owner: Annotated[
        str | None,
        Field(description="Owner; null unless the groups are owners. `(other)` is what a day had no more entries for."),
    ]
    model: Annotated[
        str | None,
        Field(description="Model, or pipeline for its steps without a model; null unless the groups are models. `(other)` as for `owner`."),
    ]
    pool: Annotated[str | None, Field(description="Pool; null unless the groups are pools.")]
    jobs: Annotated[
        int, Field(description="Jobs and synchronous predictions that ran and ended. Chunks of batches and steps count as jobs.")
    ]
    rows: Annotated[int, Field(description="Their rows.")]
    run_s: Annotated[float, Field(description="Seconds of processes, in which calls are divided by rows. Every attempt counts.")]
    cost: Annotated[float | None, Field(description="Cost of these seconds when they ran; null if the pool had no price.")]


class UsagePool(TypedDict):
    """The time of the processes of a pool."""

    day: Annotated[str | None, Field(description="UTC day; null unless the groups are days.")]
    pool: str
    reserved_s: Annotated[float, Field(description="Seconds for which processes existed, measured once a minute.")]
    used_s: Annotated[float, Field(description="Seconds that the work of all owners took, that of the direct lane included.")]
    idle_s: Annotated[float, Field(description="The difference, at least 0.")]
    reserved_cost: Annotated[float | None, Field(description="Cost of the processes; null if the pool had no price.")]
    used_cost: Annotated[float | None, Field(description="Cost of the work of all owners; null if the pool had no price.")]
    idle_cost: Annotated[float | None, Field(description="The difference, at least 0; null if the pool had no price.")]


Usage = TypedDict(
    "Usage",
    {
        "from": Annotated[str, Field(description="First UTC day.", examples=["2026-02-01"])],
        "to": Annotated[str, Field(description="Last UTC day, which is included.", examples=["2026-02-28"])],
        "items": Annotated[list[UsageItem], Field(description="The groups. Without `group_by`, one group, or none if nothing ran.")],
        "pools": Annotated[
            list[UsagePool], Field(description="The time of each pool, for a key that sees all owners; empty for other keys.")
        ],
    },
)
"""Usage of some days."""


def _read(query: Annotated[UsageQuery, Query()]) -> None: ...


READ: Final = documented(_read, Usage, response_description="The usage.")
