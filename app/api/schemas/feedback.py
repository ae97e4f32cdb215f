"""/v1/feedback, and the quality of a model."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query
from pydantic import Field
from typing_extensions import TypedDict

from app.api.schemas.inference import Name
from app.api.schemas.openapi import documented
from app.api.schemas.queries import RequestQuery
from app.services.requests.feedback import MAX_ITEMS, FeedbackRequest
from app.services.requests.times import TimeOrAge

JSONL: Final = ("application/jsonl", "application/x-ndjson")


class Accepted(TypedDict):
    """What was accepted."""

    rows: Annotated[int, Field(description="Number of rows.")]


class QualityQuery(RequestQuery):
    """Which rows to compare."""

    from_: TimeOrAge | None = Field(
        None,
        alias="from",
        description="Only rows that were answered in the hour of this time or later: a timestamp, or an age (default: `-7d`).",
        examples=["-24h"],
    )
    to: TimeOrAge | None = Field(None, description="Only rows of the hour of this time or earlier.", examples=["2026-02-28T09:30:00Z"])


class CalibrationBin(TypedDict):
    """Rows whose predicted probability is in a tenth of the range from 0 to 1."""

    rows: int
    predicted: Annotated[float, Field(description="Mean predicted probability.")]
    observed: Annotated[float, Field(description="Share of rows that are of the class.")]


class VersionQuality(TypedDict):
    """How good the predictions of a version were. Figures that do not apply are null."""

    version: str
    rows: Annotated[int, Field(description="Captured rows.")]
    compared: Annotated[int, Field(description="Rows with feedback.")]
    accuracy: Annotated[float | None, Field(description="Share of labels that were right.")]
    auc: Annotated[float | None, Field(description="Area under the ROC curve, of two classes with probabilities.")]
    calibration_error: Annotated[float | None, Field(description="Expected calibration error of these probabilities.")]
    calibration: Annotated[list[CalibrationBin], Field(description="The bins of that error which have rows.")]
    mae: Annotated[float | None, Field(description="Mean absolute error of numbers.")]
    rmse: Annotated[float | None, Field(description="Root mean squared error of numbers.")]


class ModelQuality(TypedDict):
    """How good the predictions of a model were."""

    model: str
    versions: list[VersionQuality]


def _record(body: FeedbackRequest) -> None: ...


def _quality(name: Name, query: Annotated[QualityQuery, Query()]) -> None: ...


RECORD: Final = documented(
    _record,
    Accepted,
    response_description=f"The feedback is durable. JSONL has up to {MAX_ITEMS} lines.",
    openapi_extra={
        "requestBody": {"required": True, "content": {type: {"schema": {"type": "string", "format": "binary"}} for type in JSONL}}
    },
)
QUALITY: Final = documented(_quality, ModelQuality, response_description="The quality of each version with captured rows.")
