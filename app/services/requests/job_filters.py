"""The filter of jobs that lists and bulk actions have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.core.job_filters import JobFilter
from app.core.jobs import State
from app.services.requests.body import RequestBody, Time

Text = Annotated[str, Field(max_length=200)]


class JobSelection(RequestBody):
    """Which jobs to select."""

    model: Text | None = Field(None, description="Only jobs of this model or pipeline: a name, or name@version.")
    owner: Text | None = Field(None, description="Only jobs of this owner. A caller who sees one owner only finds no jobs of others.")
    kind: Text | None = Field(
        None, description="Only jobs of this kind: `prediction`, `pipeline`, `training` or `replay`.", examples=["pipeline"]
    )
    pool: Text | None = Field(None, description="Only jobs of this pool.")
    id_prefix: Text | None = Field(None, description="Only jobs whose IDs begin with this text.", examples=["01938d2c"])
    since: Time | None = Field(None, description="Only jobs created at this time, which names its zone, or later.")
    until: Time | None = Field(None, description="Only jobs created at this time, which names its zone, or earlier.")

    def job_filter(self, states: frozenset[State] | None, error: str | None = None) -> JobFilter:
        """Return the filter, with the states of the jobs and the code of their error."""
        since, until = (time.timestamp() if time else None for time in (self.since, self.until))
        return JobFilter(self.model, states, error, self.id_prefix, self.owner, self.kind, self.pool, since, until)
