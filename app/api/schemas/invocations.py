"""/ping and /invocations."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Header, Path
from pydantic import ConfigDict, Field, with_config
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypedDict

from app.api.schemas.inference import LANE_HEADER
from app.api.schemas.openapi import documented
from app.api.schemas.problems import CODE, PROBLEMS
from app.api.schemas.server import Health
from app.services.requests.invocations import Invocation
from app.services.requests.models import REFERENCE

Name = Annotated[str, Path(pattern=REFERENCE, description="`name`, `name@alias` or `name@version`.", examples=["diabetes@production"])]
CustomAttributes = Annotated[
    str | SkipJsonSchema[None],
    Header(alias="X-Amzn-SageMaker-Custom-Attributes", description="SageMaker: comes back with the response.", examples=["trace-42"]),
]


@with_config(ConfigDict(json_schema_extra={"example": {"predictions": [206.1]}}))
class Predictions(TypedDict):
    """What the model answered."""

    predictions: Annotated[list[Any], Field(description="The value of each row, or an object by output if the model has several.")]


@with_config(
    ConfigDict(
        json_schema_extra={
            "example": {
                "error_code": "BAD_REQUEST",
                "message": "The body has no rows. Give exactly one of dataframe_split, dataframe_records, instances, inputs.",
                "code": "invalid_input",
            }
        }
    )
)
class ScoringError(TypedDict):
    """An error in the form of MLflow."""

    error_code: Annotated[str, Field(description="MLflow's name for the status.", examples=["BAD_REQUEST"])]
    message: Annotated[str, Field(description="What happened, why, and what to do; the invalid field is in parentheses at the end.")]
    code: Annotated[str, CODE]


def _none() -> None: ...


def _invoke(body: Invocation, custom_attributes: CustomAttributes = None) -> None: ...


def _invoke_model(body: Invocation, name: Name, custom_attributes: CustomAttributes = None) -> None: ...


ERRORS: Final[dict[int | str, dict[str, Any]]] = {status: {**problem, "model": ScoringError} for status, problem in PROBLEMS.items()}
_INVOKE: Final[dict[str, Any]] = {
    "response_description": "The predictions.",
    "responses": {200: {"headers": LANE_HEADER}},
    "openapi_extra": {"requestBody": {"content": {"text/csv": {"schema": {"type": "string", "format": "binary"}}}}},
}
PING: Final = documented(
    _none,
    Health,
    response_description="A prediction would be answered.",
    responses={503: {"model": Health, "description": "Redis does not answer, no worker is alive, or the process is stopping."}},
)
INVOCATIONS: Final = documented(_invoke, Predictions, **_INVOKE)
MODEL_INVOCATIONS: Final = documented(_invoke_model, Predictions, **_INVOKE)
