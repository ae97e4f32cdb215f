"""Bodies of /v1/dead-letters."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from app.services.requests.body import RequestBody
from app.services.requests.jobs import LONGEST, Deadline, Rows
from app.services.requests.models import Reference


class Redirected(RequestBody):
    """Changes to all replayed dead letters. Fields that are absent stay unchanged."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"model": "digits@2"}]})

    model: Reference | None = Field(None, description="Another model, alias or version.")
    deadline_s: Deadline | None = Field(None, description=f"Seconds that the new job may wait for a worker. {LONGEST}")


class Mended(Redirected):
    """Changes to a replayed dead letter. Fields that are absent stay unchanged."""

    inputs: Rows | None = Field(None, description="Other rows.")
    method: str | None = Field(None, description="Another output.")
