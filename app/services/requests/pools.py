"""The body of a request that pauses or drains a pool, or pauses a model."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from app.services.requests.body import Pattern, RequestBody

_REASON: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f]{0,500}")


class StateChange(RequestBody):
    """Why a pool is paused or drained, or a model is paused."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "kernel update"}]})

    reason: Annotated[str, Pattern(_REASON, "Use up to 500 characters without line breaks.")] = Field(
        "", description="Human-readable reason. Callers that wait or are refused see it."
    )
