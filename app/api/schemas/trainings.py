"""/v1/trainings and /v1/trainers."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas import jobs
from app.api.schemas.openapi import documented
from app.core.jobs import State
from app.core.trainers import Kind
from app.services.requests.webhooks import JobWebhook

_EXAMPLE: Final[Any] = {
    "trainer": "random-forest-classifier",
    "dataset": "churn.csv",
    "target": "churned",
    "model": "churn",
    "search": {"max_depth": [4, 8]},
    "promote_if": {"accuracy": {"at_least": 0.9, "not_worse_than": "production"}},
}


class Condition(BaseModel):
    """What one metric must be. All that is said must hold."""

    model_config = ConfigDict(extra="forbid")

    at_least: float | None = None
    at_most: float | None = None
    not_worse_than: str | None = Field(
        None, description="An alias or a version, whose manifest says the metric to compare with. Where there is none, this holds."
    )


class Training(BaseModel):
    """What is to be learned."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    trainer: str = Field(min_length=1, description="A name that /v1/trainers lists, or of a function that the workers register.")
    dataset: str = Field(
        min_length=1, max_length=1000, description="A CSV, JSONL, Parquet or NPY file: the id of an upload, a path, or a URL."
    )
    target: str = Field(min_length=1, max_length=1000, description="The column to predict.")
    model: str = Field(
        pattern="^[a-z0-9][a-z0-9_-]{0,62}$", description="The model that gets a new version; a new one where there is none of that name."
    )
    columns: list[str] = Field([], description="The columns to learn from; all but the target where none is named.")
    delimiter: str | None = Field(
        None, min_length=1, max_length=1, description="Of CSV: what parts the values; by default the first line decides."
    )
    decimal: Literal[".", ","] | None = Field(None, description="Of CSV: the decimal point; `.` by default.")
    quote: str | None = Field(None, max_length=1, description='Of CSV: the quote; `"` by default, an empty text for none.')
    encoding: str | None = Field(None, description="Of CSV: `utf-8`, the default, or a single-byte encoding such as `cp1252`.")
    na_values: list[str] | None = Field(None, max_length=100, description="Of CSV: texts that mean a missing value in every column.")
    header: bool | None = Field(
        None, description="Of CSV: whether the first line names the columns; by default it does, and must not be numbers."
    )
    params: dict[str, Any] = Field({}, description="Parameters of the trainer.")
    search: dict[str, list[Any]] = Field({}, description="Values to try for each parameter, in every combination.")
    cv: int = Field(5, ge=2, le=20, description="Folds of the cross-validation that the metrics are the mean of.")
    holdout: float | None = Field(None, gt=0, le=0.9, description="Instead: the part of the rows to measure on.")
    promote_if: dict[str, Condition] | None = Field(
        None, description="Moves `production` to the new version where every metric is as it should be; without it nothing is moved."
    )
    pool: str | None = Field(None, pattern="^[a-z0-9-]{1,40}$", description="The pool whose workers run it.")
    time_limit_s: float | None = Field(None, gt=0, description="Seconds that it may run.")
    webhook: JobWebhook | None = Field(None, description="Receiver to notify when the training starts or ends.")


class TrainingJob(jobs.Job):
    """A training as a job. Its result holds the version, its metrics, the decision of the promotion gate with its reason, and the data set with its sha256."""

    waits_for: str | None = Field(None, description="What must be there before it can start.")


class Trainings(BaseModel):
    """A page of trainings."""

    items: list[TrainingJob]
    next: str | None = Field(description="The cursor of the next page; null where this is the last.")


class Trainer(BaseModel):
    """An estimator that may be named."""

    name: str
    kind: Kind
    estimator: str = Field(description="Where scikit-learn has it.")
    params: list[str] = Field(description="What `params` and `search` may set.")
    metrics: list[str] = Field(description="The measured metrics, which `promote_if` may name.")


class Trainers(BaseModel):
    """Every trainer of scikit-learn's."""

    items: list[Trainer]


def _submit(body: Training, idempotency_key: jobs.IdempotencyKey = None) -> None: ...


def _list(
    state: Annotated[State | None, Query(description="Only trainings in this state.")] = None,
    model: Annotated[str | None, Query(description="Only trainings of this model.")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="Trainings on a page.")] = 20,
    cursor: Annotated[str | None, Query(description="The `next` of the page before.")] = None,
) -> None: ...


def _read(id: jobs.Id, wait: jobs.Wait = None, prefer: jobs.Prefer = None) -> None: ...


def _by_id(id: jobs.Id) -> None: ...


def _nothing() -> None: ...


TRAINERS: Final = documented(_nothing, Trainers, response_description="The trainers.")
SUBMIT: Final = documented(
    _submit,
    TrainingJob,
    status_code=202,
    response_description="The training is durable.",
    responses={202: {"headers": jobs.LOCATION | jobs.LATER}},
)
LIST: Final = documented(_list, Trainings, response_description="A page of trainings.")
READ: Final = documented(_read, TrainingJob, response_description="The training as it is now.", responses={200: {"headers": jobs.LATER}})
CANCEL: Final = documented(_by_id, TrainingJob, response_description="The training as it is after: cancelled, or ended before.")
EVENTS: Final = jobs.EVENTS
