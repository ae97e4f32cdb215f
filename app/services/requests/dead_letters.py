"""Bodies of /v1/dead-letters."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from app.services.requests.body import RequestBody
from app.services.requests.jobs import Deadline, Rows
from app.services.requests.models import Reference


class Redirected(RequestBody):
    """What is to be otherwise for all of them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"model": "digits@2"}]})

    model: Reference | None = Field(None, description="Another model, alias or version.")
    deadline_s: Deadline | None = Field(None, description="Seconds that the new job may wait.")


class Mended(Redirected):
    """What is to be otherwise when it is asked again; all of it may be left out."""

    inputs: Rows | None = Field(None, description="Other rows.")
    method: str | None = Field(None, description="Another output.")
