"""The body of /v1/trainings."""

from __future__ import annotations

from typing import Annotated, Any, Final, Self

from pydantic import ConfigDict, Field, model_validator

from app.core import trainings
from app.core.models import ALIAS, NAME, POOL, VERSION
from app.core.trainings import Bounds
from app.services.requests.body import Integer, RequestBody, refused
from app.services.requests.tables import TableBody
from app.services.requests.webhooks import JobWebhook

_EXAMPLE: Final[Any] = {
    "trainer": "random-forest-classifier",
    "dataset": "churn.csv",
    "target": "churned",
    "model": "churn",
    "search": {"max_depth": [4, 8]},
    "promote_if": {"accuracy": {"at_least": 0.9, "not_worse_than": "production"}},
}


class Condition(RequestBody):
    """What one metric must be. All that is said must hold."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    at_least: float | None = None
    at_most: float | None = None
    not_worse_than: str | None = Field(
        None,
        pattern=f"^({ALIAS.pattern}|{VERSION.pattern})$",
        description="An alias or a version, whose manifest says the metric to compare with. Where there is none, this holds.",
    )

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.model_fields_set:
            raise refused(f"A condition is empty. Set one of {', '.join(type(self).model_fields)}.")
        return self


class Training(TableBody):
    """What is to be learned."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    trainer: str = Field(
        min_length=1,
        max_length=1000,
        description="A name that /v1/trainers lists, or of a function that the workers register.",
        examples=["random-forest-classifier"],
    )
    dataset: str = Field(
        min_length=1,
        max_length=1000,
        description="A CSV, JSONL, Parquet or NPY file: the id of an upload, a path, or a URL.",
        examples=["churn.csv"],
    )
    target: str = Field(min_length=1, max_length=1000, description="The column to predict.", examples=["churned"])
    model: str = Field(
        pattern=f"^{NAME.pattern}$",
        description="The model that gets a new version; a new one where there is none of that name.",
        examples=["churn"],
    )
    columns: list[str] = Field([], fail_fast=True, description="The columns to learn from; all but the target where none is named.")
    params: dict[str, Any] = Field({}, description="Parameters of the trainer.")
    search: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(
        {}, description="Values to try for each parameter, in every combination."
    )
    cv: Integer = Field(5, ge=2, le=20, description="Folds of the cross-validation that the metrics are the mean of.")
    holdout: float | None = Field(None, gt=0, le=0.9, description="Instead: the part of the rows to measure on.")
    promote_if: dict[str, Condition] | None = Field(
        None,
        min_length=1,
        description="Moves `production` to the new version where every metric is as it should be; without it nothing is moved.",
    )
    pool: str | None = Field(None, pattern=f"^{POOL.pattern}$", description="The pool whose workers run it.")
    time_limit_s: float | None = Field(None, gt=0, description="Seconds that it may run.")
    webhook: JobWebhook | None = Field(None, description="Receiver to notify when the training starts or ends.")

    def checked(self, bounds: Bounds) -> trainings.Training:
        """Return the training. Raises InvalidInput if this installation does not allow it."""
        given = self.model_dump(exclude={"webhook"}, exclude_none=True)
        training = trainings.Training(**{"pool": bounds.pool, "time_limit_s": bounds.time_limit_s, **given})
        training.check(bounds)
        return training
