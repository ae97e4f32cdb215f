"""Bodies of POST /v1/feedback."""

from __future__ import annotations

from typing import Annotated, Final

import orjson
from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from app.core.errors import InvalidInput, InvalidJSON
from app.core.feedback import Actual
from app.core.jobs import CHOSEN_ID
from app.core.models import NAME
from app.services.requests.body import Integer, Pattern, RequestBody, refused

MAX_ITEMS: Final = 10_000
_LONGEST: Final = 200


def _actual(value: object) -> object:
    if not isinstance(value, str | int | float) or (isinstance(value, str) and len(value) > _LONGEST):
        raise refused(f"Use a number, true, false, or a text of up to {_LONGEST} characters.")
    return value


class FeedbackRequest(RequestBody):
    """The true answer of a row."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model": "churn", "job": "01938d2c5f3a7be1c04d5a6f7e8091a2", "actual": 1}]})

    model: Annotated[str, Pattern(NAME, "Use the name of a model, for example churn.")] = Field(
        description="The model that predicted the row.", examples=["churn"]
    )
    job: Annotated[str, Pattern(CHOSEN_ID, "Use the ID of a job or of a synchronous prediction.")] = Field(
        description="ID of the job, or of the synchronous prediction.", examples=["01938d2c5f3a7be1c04d5a6f7e8091a2"]
    )
    actual: Annotated[
        Actual,
        BeforeValidator(_actual),
        WithJsonSchema({"anyOf": [{"type": "string", "maxLength": _LONGEST}, {"type": "number"}, {"type": "boolean"}]}),
    ] = Field(description="The true label or number.", examples=[1])
    row: Annotated[Integer, Field(ge=0, le=1 << 31)] = Field(0, description="Number of the row in the job.")


def parse_lines(content: bytes) -> list[FeedbackRequest]:
    """Return the feedback of JSONL. Raises InvalidJSON or InvalidInput, with the number of the line."""
    lines = [line for line in content.splitlines() if line.strip()]
    if not 0 < len(lines) <= MAX_ITEMS:
        raise InvalidInput(f"The body has {len(lines)} lines. Send 1 to {MAX_ITEMS}.", pointer="")
    items = []
    for number, line in enumerate(lines, 1):
        try:
            parsed = orjson.loads(line)
        except orjson.JSONDecodeError:
            raise InvalidJSON(f"Line {number} is not JSON. Send one object on each line.") from None
        if not isinstance(parsed, dict):
            raise InvalidInput(f"Line {number} is not an object. Send one object on each line.", pointer=f"/{number - 1}")
        try:
            items.append(FeedbackRequest.parse(parsed))
        except InvalidInput as error:
            raise InvalidInput(f"Line {number}: {error.detail}", pointer=f"/{number - 1}{error.pointer or ''}") from None
    return items
