"""The body of a request that gives an alias a shadow."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from app.core.models import VERSION
from app.services.requests.body import Pattern, RequestBody


class ShadowRequest(RequestBody):
    """Which version predicts again, and how often."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": "4", "rate": 0.1}]})

    version: Annotated[str, Pattern(VERSION, "Use a version, for example 4.")] = Field(
        description="Version that predicts again what the version of the alias answers.", examples=["4"]
    )
    rate: float = Field(0.1, gt=0, le=1, description="Share of the jobs that it predicts again.")
