"""The body of a request that replays captured rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import ConfigDict, Field

from app.core.models import VERSION
from app.core.replays import MAX_ROWS
from app.services.requests.body import Integer, Pattern, RequestBody
from app.services.requests.times import TimeOrAge

Version = Annotated[str, Pattern(VERSION, "Use a version, for example 4.")]


class ReplayRequest(RequestBody):
    """Which captured rows are predicted again, and by which version."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"to": "5", "since": "-24h"}]})

    to: Version = Field(description="Version that predicts the rows again.", examples=["5"])
    version: Version | None = Field(None, description="Only rows that this version answered (default: every version).")
    since: TimeOrAge = Field(
        timedelta(days=-1), description="Begin of the period: an RFC 3339 timestamp, or an age in `s`, `m`, `h` or `d` (default: `-24h`)."
    )
    until: TimeOrAge | None = Field(None, description="End of the period (default: now).")
    limit: Integer = Field(MAX_ROWS, ge=1, le=MAX_ROWS, description="Maximum rows. The oldest ones are taken first.")
