"""Bodies of /v2/repository."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from app.services.requests.body import RequestBody


class IndexRequest(RequestBody):
    """What to list."""

    ready: bool = Field(False, description="Only versions that a worker holds.")
    repository_name: str | None = Field(None, description="Ignored, because there is one repository.")


class LoadRequest(RequestBody):
    """An optional body. Parameters that would send a model or its configuration are refused."""

    parameters: Annotated[
        dict[str, Any], WithJsonSchema({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}})
    ] = Field({})
