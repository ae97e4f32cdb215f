"""/v2: the Open Inference Protocol and the extensions that this server supports."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, NotRequired

from fastapi import Header, Path
from pydantic import BaseModel, ConfigDict, Field, with_config
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypedDict

from app.api.schemas.jobs import ACCEPTED, IdempotencyKey, Prefer
from app.api.schemas.openapi import documented
from app.core.lanes import Lane
from app.core.models import ALIAS, NAME, VERSION
from app.core.tensors import DATATYPES

Parameters = dict[str, str | float | bool]
Datatype = Literal[DATATYPES]  # type: ignore[valid-type]
_ROW: Final[Any] = [0.0381, 0.0507, 0.0617, 0.0219, -0.0442, -0.0348, -0.0434, -0.0026, 0.0199, -0.0176]
Name = Annotated[str, Path(pattern=f"^{NAME.pattern}$", description="The model.", examples=["diabetes"])]
Version = Annotated[str, Path(pattern=f"^({VERSION.pattern}|{ALIAS.pattern})$", description="A version or an alias.", examples=["1"])]
JsonLength = Annotated[
    int | SkipJsonSchema[None],
    Header(alias="Inference-Header-Content-Length", description="Bytes of the body that are JSON; the rest is raw tensor data."),
]


class InputTensor(BaseModel):
    """A tensor, row-major. The parameter `binary_data_size` replaces `data` if the data follow the JSON."""

    model_config = ConfigDict(extra="forbid")

    name: str
    shape: list[Annotated[int, Field(ge=0)]]
    datatype: Datatype
    parameters: Parameters | None = None
    data: list[Any] | None = Field(None, description="Flat or nested.")


class RequestedOutput(BaseModel):
    """An output to compute. The parameter `binary_data` asks for raw data after the JSON."""

    model_config = ConfigDict(extra="forbid")

    name: str
    parameters: Parameters | None = None


class InferenceRequest(BaseModel):
    """Tensors for a model."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"id": "42", "inputs": [{"name": "input", "shape": [1, 10], "datatype": "FP64", "data": _ROW}]}},
    )

    id: str | None = Field(None, description="Comes back with the answer.")
    parameters: Parameters | None = Field(
        None,
        description="`timeout` in microseconds, `binary_data_output`, and `priority`: 1 is the service tier priority, other numbers are the default one. "
        "Others are passed over.",
    )
    inputs: list[InputTensor] = Field(min_length=1)
    outputs: list[RequestedOutput] | None = Field(None, description="Outputs to return (default: the model's first).")


class OutputTensor(TypedDict):
    """A tensor, row-major, its data flat. NaN and infinities are null."""

    name: str
    shape: list[int]
    datatype: Datatype
    parameters: NotRequired[Parameters]
    data: NotRequired[list[Any]]


@with_config(
    ConfigDict(
        json_schema_extra={
            "example": {
                "model_name": "diabetes",
                "model_version": "1",
                "id": "42",
                "outputs": [{"name": "predict", "shape": [1], "datatype": "FP64", "data": [206.1]}],
            }
        }
    )
)
class InferenceResponse(TypedDict):
    """What the model answered."""

    model_name: str
    model_version: str
    id: str
    outputs: list[OutputTensor]


def _infer(
    body: InferenceRequest, name: Name, prefer: Prefer = None, idempotency_key: IdempotencyKey = None, length: JsonLength = None
) -> None: ...


def _infer_version(
    body: InferenceRequest,
    name: Name,
    version: Version,
    prefer: Prefer = None,
    idempotency_key: IdempotencyKey = None,
    length: JsonLength = None,
) -> None: ...


LANE_HEADER: Final = {
    "Celeriac-Lane": {
        "description": "Where it was predicted: `direct` in the API process, or `queue` in a worker.",
        "schema": {"type": "string", "enum": [lane.value for lane in Lane]},
    }
}
_RAW: Final = {"schema": {"type": "string", "format": "binary"}}
_INFER: Final[dict[str, Any]] = {
    "response_description": "The outputs as JSON. Outputs that were requested as binary data follow the JSON.",
    "responses": {
        200: {
            "content": {"application/octet-stream": _RAW},
            "headers": {
                **LANE_HEADER,
                "Inference-Header-Content-Length": {
                    "description": "Bytes of the body that are JSON, where raw data follow it.",
                    "schema": {"type": "integer"},
                },
            },
        },
        202: ACCEPTED,
    },
    "openapi_extra": {"requestBody": {"content": {"application/octet-stream": _RAW}}},
}
INFER: Final = documented(_infer, InferenceResponse, **_INFER)
INFER_VERSION: Final = documented(_infer_version, InferenceResponse, **_INFER)
