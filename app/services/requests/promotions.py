"""The body of a request that moves an alias."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from app.core.models import VERSION
from app.services.requests.body import Pattern, RequestBody


class PromotionRequest(RequestBody):
    """Where an alias is to point."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": "3"}]})

    version: Annotated[str, Pattern(VERSION, "Use a version, for example 3.")] = Field(
        description="Version that the alias will point to.", examples=["3"]
    )
