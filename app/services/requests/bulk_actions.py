"""Bodies of /v1/bulk-actions."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from app.core.bulk_actions import BulkFilter
from app.core.errors import InvalidInput
from app.core.job_filters import JobFilter
from app.core.jobs import State
from app.services.requests.body import RequestBody
from app.services.requests.job_filters import JobSelection
from app.services.requests.models import Reference

_DRY: Final = "Counts what matches, and changes nothing."
_ALL: Final = "`true` selects everything. Otherwise a filter is required."


class BulkCancellation(JobSelection):
    """Which jobs to cancel."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model": "digits", "state": "queued"}]})

    state: Literal["queued", "running"] | None = Field(None, description="Only jobs in this state (default: both).")
    all: bool = Field(False, description=_ALL)
    dry_run: bool = Field(False, description=_DRY)

    @property
    def filter(self) -> BulkFilter:
        """The filter. Raises InvalidInput if there is none: a forgotten one must not reach every job."""
        wanted = self.job_filter(None)
        if wanted == JobFilter() and not (self.state or self.all):
            raise InvalidInput("The request has no filter. Use model, state or another one, or all: true.", pointer="/all")
        return BulkFilter(
            wanted.model,
            State(self.state) if self.state else None,
            owner=wanted.owner,
            kind=wanted.kind,
            pool=wanted.pool,
            id_prefix=wanted.id_prefix,
            since=wanted.since,
            until=wanted.until,
        )


class BulkDiscard(RequestBody):
    """Which dead letters to discard."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model": "digits@1", "error": "prediction_failed"}]})

    model: Annotated[str, Field(max_length=200)] | None = Field(None, description="Only letters of this model: a name, or name@version.")
    error: Annotated[str, Field(max_length=200)] | None = Field(None, description="Only letters with this error code.")
    fingerprint: Annotated[str, Field(pattern="^[0-9a-f]{16}$")] | None = Field(None, description="Only letters with this cause.")
    all: bool = Field(False, description=_ALL)
    dry_run: bool = Field(False, description=_DRY)

    @property
    def filter(self) -> BulkFilter:
        """The filter. Raises InvalidInput if there is none: a forgotten one must not reach every dead letter."""
        if not (self.model or self.error or self.fingerprint or self.all):
            raise InvalidInput("The request has no filter. Use model, error, fingerprint, or all: true.", pointer="/all")
        return BulkFilter(self.model, error=self.error, fingerprint=self.fingerprint)


class BulkReplayRequest(BulkDiscard):
    """Which dead letters to replay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model": "digits@1", "to": "digits@2"}]})

    to: Reference | None = Field(None, description="Another model, alias or version to run.")
