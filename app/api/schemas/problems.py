"""Errors: RFC 9457 problems, and the Open Inference Protocol's own form under /v2."""

from __future__ import annotations

from typing import Annotated, Any, Final, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from app.core.errors import every_error

CODE: Final = Field(
    description=f"What happened, as a word that stays the same: {', '.join(sorted(every_error()))}, or one of the router's.",
    examples=["invalid_tensor"],
)
_TOO_FULL: Final = {"Retry-After": {"description": "Seconds after which to try again.", "schema": {"type": "integer"}}}


class Detail(TypedDict):
    """One field that is wrong."""

    pointer: Annotated[str, Field(description="The field, as a JSON pointer (RFC 6901) into the request.", examples=["/inputs/0/7"])]
    detail: Annotated[str, Field(description="What is wrong and what to do.")]


@with_config(
    ConfigDict(
        json_schema_extra={
            "example": {
                "type": "urn:celeriac:error:model_not_found",
                "title": "The model does not exist",
                "status": 404,
                "detail": "Model 'digit' does not exist. Available models: breast-cancer, diabetes, digits, wine.",
                "code": "model_not_found",
                "errors": [
                    {
                        "pointer": "/model",
                        "detail": "Model 'digit' does not exist. Available models: breast-cancer, diabetes, digits, wine.",
                    }
                ],
            }
        }
    )
)
class Problem(TypedDict):
    """An error (RFC 9457)."""

    type: Annotated[str, Field(description="URI that identifies the kind of error. It cannot be opened.")]
    title: Annotated[str, Field(description="The kind of error in a sentence.")]
    status: Annotated[int, Field(description="The HTTP status of this answer.")]
    detail: Annotated[str, Field(description="What happened, why, and what to do.")]
    code: Annotated[str, CODE]
    errors: NotRequired[Annotated[list[Detail], Field(description="The fields that are wrong, if they are known.")]]


class FileProblem(Problem):
    """An error, as RFC 9457 and OpenAI's SDK want it."""

    error: Annotated[
        dict[str, str | None], Field(description="`message`, `type`, `param` and `code`: the same once more, for OpenAI's SDK.")
    ]


@with_config(
    ConfigDict(
        json_schema_extra={
            "example": {
                "error": "Input 'input' takes 64 values per row, for example [[1, 2, …], …], not the shape [1, 63]. (/inputs/0/shape)",
                "code": "invalid_tensor",
            }
        }
    )
)
class ProtocolError(TypedDict):
    """An error in the form of the Open Inference Protocol."""

    error: Annotated[str, Field(description="What happened, why, and what to do; the invalid field is in parentheses at the end.")]
    code: Annotated[str, CODE]


PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"model": Problem, "description": "The request cannot be answered; the code says why.", "headers": _TOO_FULL},
    "5XX": {"model": Problem, "description": "Something that this process needs does not answer, or not in time.", "headers": _TOO_FULL},
}
PROTOCOL_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    status: {**problem, "model": ProtocolError} for status, problem in PROBLEMS.items()
}
FILE_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {status: {**problem, "model": FileProblem} for status, problem in PROBLEMS.items()}
