"""Bodies of /v1/dead-letters."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from app.services.requests.body import RequestBody
from app.services.requests.jobs import AT_MOST, Deadline, Rows
from app.services.requests.models import Reference


class BulkReplay(RequestBody):
    """What to change in every replayed job."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"model": "digits@2"}]})

    model: Reference | None = Field(None, description="Another model, alias or version.")
    deadline_s: Deadline | None = Field(
        None, description=f"Seconds that the new job may wait for a worker (default: `CELERIAC_DEFAULT_DEADLINE_S`). {AT_MOST}"
    )


class Replay(BulkReplay):
    """What to change in the replayed job."""

    inputs: Rows | None = Field(None, description="Other rows, in the form of POST /v1/jobs.")
    method: str | None = Field(None, description="Another output to compute.")
