"""Bodies of /v1/jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, WithJsonSchema

from app.core.concurrency import KEY, MAX_LIMIT, Concurrency, OnFull
from app.core.errors import InvalidInput
from app.core.tiers import Tier
from app.services.requests.body import Integer, Pattern, RequestBody
from app.services.requests.models import Reference
from app.services.requests.webhooks import OptionalWebhook
from app.settings import Settings

# fmt: off
_DIABETES: Final[Any] = [0.038, 0.051, 0.062, 0.022, -0.044, -0.035, -0.043, -0.003, 0.02, -0.018]
_WINE: Final[Any] = {
    "alcohol": 13.2, "malic_acid": None, "ash": 2.14, "alcalinity_of_ash": 11.2, "magnesium": 100, "total_phenols": 2.65,
    "flavanoids": 2.76, "nonflavanoid_phenols": 0.26, "proanthocyanins": 1.28, "hue": 1.05, "od280_od315_of_diluted_wines": 3.4,
    "proline": 1050, "colour": "medium",
}
_ROWS: Final[Any] = {
    "type": "array",
    "minItems": 1,
    "anyOf": [
        {"items": {"type": "array"}},
        {"items": {"type": "object"}},
        {"items": {"type": ["number", "string", "boolean", "null"]}},
    ],
}
# fmt: on
Rows = Annotated[Any, WithJsonSchema(_ROWS)]
"""Rows that the manifest of a model validates, because only it says what they hold; or `LargeInputs`."""
Deadline = Annotated[float, Field(gt=0)]
ServiceTier = Annotated[Tier, Field(strict=False)]
TIER: Final = "The service tier: workers take jobs of priority first and those of flex last. priority needs the scope `predict:priority`."
AT_MOST: Final = "At most `CELERIAC_JOB_TTL_S` of the server, which is 86400 by default."
"""Part of the description of a deadline. The schema has no maximum, because a setting changes it."""


Key = Annotated[str, Pattern(KEY, "Use 1 to 128 letters, digits and ._:/@- and begin with a letter or a digit.")]
KEY_IS: Final = "Name of what is limited, for example a customer. It counts for the owner of the caller only."
LIMIT_IS: Final = "Maximum number of jobs of the key. The limit of the newest job counts for all of them."
ON_FULL_IS: Final = (
    "What happens if the key has its limit of jobs: `queue` holds the job back until one of them has ended, `refuse` responds with 409, "
    "`cancel_running` cancels the oldest jobs of the key, `cancel_newest` accepts this job and cancels it."
)


class ConcurrencyKey(RequestBody):
    """How many jobs of the caller with the same key are queued or run at once."""

    key: Key = Field(description=KEY_IS, examples=["customer:42"])
    limit: Integer = Field(1, ge=1, le=MAX_LIMIT, description=LIMIT_IS)
    on_full: Annotated[OnFull, Field(strict=False)] = Field(OnFull.QUEUE, description=ON_FULL_IS)

    @property
    def value(self) -> Concurrency:
        """The concurrency key of the job."""
        return Concurrency(self.key, self.limit, self.on_full)


class Submission(RequestBody):
    """A prediction to run."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"model": "wine@production", "inputs": [_WINE], "method": "predict_proba", "deadline_s": 60},
                {"model": "diabetes", "inputs": [_DIABETES]},
            ]
        }
    )

    model: Reference = Field(
        description="`name`, `name@alias` or `name@version`. A bare name means the production alias or, without one, the newest version."
    )
    inputs: Rows = Field(
        description="Rows: a list of values each, in the order of the model's columns, or a record by column name.", examples=[[[5.1, 3.5]]]
    )
    method: str | None = Field(
        None, description="The output to compute, for example predict or predict_proba (default: the model's first)."
    )
    deadline_s: Deadline | None = Field(None, description=f"Seconds that the job may wait for a worker before it expires. {AT_MOST}")
    service_tier: ServiceTier = Field(Tier.DEFAULT, description=TIER)
    webhook: OptionalWebhook = None
    concurrency: ConcurrencyKey | None = Field(None, description="Limits how many jobs with the same key are queued or run at once.")


class PipelineSubmission(RequestBody):
    """A run of a pipeline."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"pipeline": "digit-image", "inputs": {"image": {"b64": "iVBORw0KGgo="}}}]})

    pipeline: str = Field(description="The name of a pipeline: see /v1/pipelines.", examples=["digit-image"])
    inputs: Annotated[Any, WithJsonSchema({"type": "object"})] = Field(
        {}, description='The inputs that the pipeline declares, by name. Bytes are `{"b64": …}`.'
    )
    deadline_s: Deadline | None = Field(None, description=f"Seconds within which each step must have started. {AT_MOST}")
    service_tier: ServiceTier = Field(Tier.DEFAULT, description=f"{TIER} The branches of a step with `each` go with batches.")
    webhook: OptionalWebhook = None


def parse_submission(body: Mapping[str, Any]) -> Submission | PipelineSubmission:
    """Return the prediction or the run of a pipeline that a body describes.

    Raises:
        InvalidInput: A field is unknown, missing or invalid.
    """
    return (PipelineSubmission if "pipeline" in body else Submission).parse(body)


def deadline_s(seconds: float | None, settings: Settings) -> float:
    """Return the seconds that a job may wait in the queue, or the default of the settings.

    Raises:
        InvalidInput: The deadline is above the limit of this server.
    """
    if seconds is None:
        return settings.default_deadline_s
    if seconds > settings.job_ttl_s:
        raise InvalidInput(
            f"Invalid deadline_s {seconds:g}. Use a number of seconds above 0 and up to {settings.job_ttl_s}.", pointer="/deadline_s"
        )
    return seconds
