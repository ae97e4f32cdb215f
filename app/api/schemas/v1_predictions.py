"""/v1/models/{name}:predict."""

from __future__ import annotations

from typing import Annotated, Any, Final, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from app.api.schemas.inference import LANE_HEADER, Name, Version
from app.api.schemas.openapi import documented
from app.api.schemas.problems import PROTOCOL_ERRORS
from app.core.cloud_events import MEDIA_TYPE, VERSION
from app.services.requests.v1_predictions import V1Prediction


@with_config(ConfigDict(json_schema_extra={"example": {"predictions": [3.0, 4.0]}}))
class V1Predictions(TypedDict):
    """What the model answered."""

    predictions: NotRequired[
        Annotated[list[Any], Field(description="To `instances`: the value of each row, or an object by output if the model has several.")]
    ]
    outputs: NotRequired[
        Annotated[list[Any] | dict[str, Any], Field(description="To `inputs`: the values of the output, or an object by output.")]
    ]


def _predict(body: V1Prediction, name: Name) -> None: ...


def _predict_version(body: V1Prediction, name: Name, version: Version) -> None: ...


ERRORS: Final = PROTOCOL_ERRORS
_ATTRIBUTES: Final[dict[str, Any]] = {
    "specversion": {"const": VERSION},
    **{name: {"type": "string", "minLength": 1, "maxLength": 1024} for name in ("id", "source", "type")},
    "datacontenttype": {"const": "application/json"},
}


def _event(data: type, of: str) -> dict[str, Any]:
    """Return the content of a body that is a CloudEvent."""
    properties = {**_ATTRIBUTES, "data": {"$ref": f"#/components/schemas/{data.__name__}"}}
    required = ["specversion", "id", "source", "type", "data"]
    return {MEDIA_TYPE: {"schema": {"type": "object", "description": of, "required": required, "properties": properties}}}


_PREDICT: Final[dict[str, Any]] = {
    "response_description": "The predictions.",
    "responses": {200: {"headers": LANE_HEADER, "content": _event(V1Predictions, "The response as a CloudEvent.")}},
    "openapi_extra": {"requestBody": {"content": _event(V1Prediction, "The request as a CloudEvent.")}},
}
PREDICT: Final = documented(_predict, V1Predictions, **_PREDICT)
PREDICT_VERSION: Final = documented(_predict_version, V1Predictions, **_PREDICT)
