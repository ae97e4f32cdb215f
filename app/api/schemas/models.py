"""/v1/models, and what /v2 says of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NotRequired

from fastapi import Body, Header, Path, Query
from pydantic import ConfigDict, Field, with_config
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypedDict

from app.api.schemas.inference import Datatype, Name, Parameters, Version
from app.api.schemas.jobs import IdempotencyKey
from app.api.schemas.openapi import documented
from app.api.schemas.queries import RequestQuery
from app.core import models
from app.core.lanes import Lane
from app.core.promotions import PromotionState
from app.services.model_entry import Readiness
from app.services.requests.body import Pattern
from app.services.requests.pools import StateChange
from app.services.requests.promotions import PromotionRequest

LaneField = Annotated[
    Lane, Field(description="Where a synchronous prediction runs. direct: in the API process that answers this. queue: in a worker.")
]
LaneReason = Annotated[str, Field(description="Why it runs there.")]


class VersionSummary(TypedDict):
    """One version and whether it can answer."""

    version: str
    state: Annotated[
        Readiness, Field(description="READY: a worker holds it. LOADING, COLD: the first request may wait. UNAVAILABLE: see the reason.")
    ]
    reason: NotRequired[Annotated[str, Field(description="Why it cannot be served.")]]
    unloaded: Annotated[bool, Field(description="Whether the model was unloaded, and can be loaded again.")]
    created_at: str | None
    lane: LaneField
    lane_reason: LaneReason


class Promotion(TypedDict):
    """A move of an alias to another version that waits for a worker, or that failed. Until a worker serves the version, the alias stays."""

    id: Annotated[str, Field(description="The request; empty if a person edited aliases.json, or for the newest version of a bare name.")]
    alias: Annotated[str | None, Field(description="The alias; null is the bare name.")]
    version: Annotated[
        str, Field(description="The version that the alias is to point to; that of `before` if aliases.json cannot be read.")
    ]
    before: Annotated[str | None, Field(description="The version that it points to.")]
    requested_at: str
    state: Annotated[PromotionState, Field(description="pending: no worker has served the version yet. failed: see the reason.")]
    reason: str


class KeyName(TypedDict):
    """An API key by its ID and name."""

    id: str
    name: str


class ModelPause(TypedDict):
    """The pause of a model: jobs are accepted and wait, and synchronous requests are refused."""

    since: Annotated[str | None, Field(description="When it was paused; null if its record cannot be read.")]
    by: Annotated[KeyName | None, Field(description="API key that did it; null if the request had no key.")]
    reason: Annotated[str | None, Field(description="Reason that the caller gave.")]
    waiting: Annotated[int, Field(description="Deliveries that wait until the model is resumed, each of one or many jobs.")]


class ModelState(TypedDict):
    """Whether a model is paused."""

    name: str
    pause: Annotated[ModelPause | None, Field(description="Null if the model is not paused.")]


class Canary(TypedDict):
    """A version that takes a share of the requests for an alias."""

    version: str
    percent: Annotated[float, Field(description="Its share of the requests.")]
    by: Annotated[str, Field(description="What decides which requests it takes: job, owner or key:FIELD.")]


class Model(TypedDict):
    """One model."""

    name: str
    description: str
    default: Annotated[str, Field(description="The version that a bare name means.")]
    ready: Annotated[bool, Field(description="Whether a request for the bare name would be answered, as KServe V1 has it.")]
    aliases: Annotated[dict[str, str], Field(description="Alias to version.", examples=[{"production": "2"}])]
    previous: Annotated[
        dict[str, str],
        Field(description="Alias to the version that it pointed to before, if that is known.", examples=[{"production": "1"}]),
    ]
    canaries: Annotated[dict[str, Canary], Field(description="Alias to the canary that it leads to, too. See its rollout.")]
    versions: Annotated[list[VersionSummary], Field(description="The oldest first.")]
    promotions: Annotated[list[Promotion], Field(description="Moves of aliases that are pending or failed.")]
    pause: Annotated[ModelPause | None, Field(description="Null if the model is not paused.")]


class Models(TypedDict):
    """Every model of the repository."""

    items: list[Model]
    repository: Annotated[str, Field(description="The folder of the model repository, as the API sees it.")]


class VersionRemoved(TypedDict):
    """A version that is no longer there, as it was before."""

    name: str
    version: str
    state: Readiness
    reason: NotRequired[str]


class VersionPublished(TypedDict):
    """A version that was published."""

    name: str
    version: str
    format: Annotated[str, Field(description="onnx, skops, joblib, python, pt2, torchscript, xgboost, lightgbm or catboost.")]
    sha256: Annotated[str, Field(description="SHA-256 of the artifact, or of all its files.")]
    created_at: str
    inputs: Annotated[dict[str, str], Field(description="Datatype of each input.", examples=[{"age": "FP64"}])]
    outputs: Annotated[dict[str, str], Field(description="Datatype of each output.", examples=[{"predict": "INT64"}])]
    promotion: Annotated[Promotion | None, Field(description="The move of the alias; null without an alias.")]


class PublishQuery(RequestQuery):
    """Which version to publish."""

    version: Annotated[str, Pattern(models.VERSION, "Versions begin with a digit, as in 3 or 1.2.0.")] | None = Field(
        None, description="Version to create. By default the next integer."
    )
    alias: Annotated[str, Pattern(models.ALIAS, "Use lowercase letters, digits and -, for example production.")] | None = Field(
        None, description="Alias to point to the version once a worker serves it.", examples=["production"]
    )
    description: str = Field("", max_length=2000, description="Human-readable description. By default that of model.yaml.")
    format: Literal["skops", "joblib", "onnx"] | None = Field(
        None, description="Format of an estimator. By default skops, or joblib if skops does not trust a type and the key may publish it."
    )


@with_config(ConfigDict(extra="allow"))
class VersionState(TypedDict):
    """The manifest of a version, and whether it can answer."""

    state: Readiness
    reason: NotRequired[str]
    lane: LaneField
    lane_reason: LaneReason
    runs: NotRequired[Annotated[str, Field(description="What answers, in a sentence: the estimator, a graph compiled from it, or code.")]]


class MetadataTensor(TypedDict):
    """What one input or output is; -1 in a shape varies, the first dimension counts rows."""

    name: str
    datatype: Datatype
    shape: Sequence[int]
    parameters: NotRequired[
        Annotated[
            Parameters,
            Field(description="`columns` and `classes`: their names as a JSON list in a string. `nullable`: missing values are permitted."),
        ]
    ]


class ModelMetadata(TypedDict):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[MetadataTensor]
    outputs: list[MetadataTensor]


class ConfigTensor(TypedDict):
    """What one input or output is, as Triton writes it: without the dimension of rows."""

    name: str
    data_type: Annotated[str, Field(examples=["TYPE_FP64"])]
    dims: Sequence[int]


class ModelConfig(TypedDict):
    """Triton's model configuration, as far as it says something here."""

    name: str
    platform: str
    backend: str
    version_policy: dict[str, Any]
    max_batch_size: Annotated[int, Field(description="Rows that are joined into one call.")]
    input: list[ConfigTensor]
    output: list[ConfigTensor]
    dynamic_batching: dict[str, Any]


class ModelReady(TypedDict):
    """Does a worker hold the model?"""

    name: str
    ready: bool


def _name(name: Name) -> None: ...


def _version(name: Name, version: Version) -> None: ...


def _exact_version(name: Name, version: Annotated[str, Path(pattern=f"^{models.VERSION.pattern}$", description="A version.")]) -> None: ...


def _none() -> None: ...


def _publish(
    name: Name,
    query: Annotated[PublishQuery, Query()],
    content_digest: Annotated[
        str | SkipJsonSchema[None],
        Header(
            description="SHA-256 of the body (RFC 9530), which is checked.",
            examples=["sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:"],
        ),
    ] = None,
    idempotency_key: IdempotencyKey = None,
) -> None: ...


def _promote(
    name: Name,
    alias: Annotated[str, Path(description="Name of the alias.", pattern=f"^{models.ALIAS.pattern}$", examples=["production"])],
    body: PromotionRequest,
) -> None: ...


def _change(name: Name, body: Annotated[StateChange | SkipJsonSchema[None], Body()] = None) -> None: ...


LIST: Final = documented(_none, Models, response_description="Every model.")
READ: Final = documented(_name, Model, response_description="The model.")
VERSION: Final = documented(_version, VersionState, response_description="The version.")
PAUSE: Final = documented(_change, ModelState, response_description="The model, paused.")
RESUME: Final = documented(_name, ModelState, response_description="The model, not paused.")
ARCHIVES: Final = ("application/x-tar", "application/gzip", "application/x-gzip", "application/x-gtar")
PUBLISH: Final = documented(
    _publish,
    VersionPublished,
    response_description="The version is published.",
    openapi_extra={
        "requestBody": {"required": True, "content": {type: {"schema": {"type": "string", "format": "binary"}} for type in ARCHIVES[:2]}}
    },
)
PROMOTE: Final = documented(_promote, Promotion, response_description="The promotion, pending or served.")
DELETE: Final = documented(_exact_version, VersionRemoved, response_description="The version is gone.")
_NOT_READY: Final[dict[str, Any]] = {
    "response_description": "A request would be answered: a worker holds the model, or loads it or starts for the first request.",
    "responses": {503: {"model": ModelReady, "description": "No worker holds the model, and no autoscaler starts one."}},
}
METADATA: Final = documented(_name, ModelMetadata, response_description="What the model takes and gives.")
METADATA_VERSION: Final = documented(_version, ModelMetadata, response_description="What the version takes and gives.")
CONFIG: Final = documented(_name, ModelConfig, response_description="Triton's configuration of the model.")
CONFIG_VERSION: Final = documented(_version, ModelConfig, response_description="Triton's configuration of the version.")
READY: Final = documented(_name, ModelReady, **_NOT_READY)
READY_VERSION: Final = documented(_version, ModelReady, **_NOT_READY)
