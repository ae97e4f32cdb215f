"""The body of /v1/trainings."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Self

from pydantic import ConfigDict, Field, model_validator

from app.core import trainings
from app.core.models import ALIAS, POOL, VERSION
from app.core.trainings import Bounds
from app.services.requests.body import Integer, Pattern, RequestBody, refused
from app.services.requests.models import Name
from app.services.requests.tables import TableBody
from app.services.requests.webhooks import OptionalWebhook

_EXAMPLE: Final[Any] = {
    "trainer": "random-forest-classifier",
    "dataset": "churn.csv",
    "target": "churned",
    "model": "churn",
    "search": {"max_depth": [4, 8]},
    "promote_if": {"accuracy": {"at_least": 0.9, "not_worse_than": "production"}},
}
_VERSION: Final = re.compile(f"{ALIAS.pattern}|{VERSION.pattern}")


class Condition(RequestBody):
    """Conditions on one metric. All that are set must hold."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    at_least: float | None = None
    at_most: float | None = None
    not_worse_than: Annotated[str, Pattern(_VERSION, "Use an alias or a version, for example production.")] | None = Field(
        None, description="Alias or version whose metric to compare with. If it does not exist, the condition holds."
    )

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.model_fields_set:
            raise refused(f"Set one of {', '.join(type(self).model_fields)}.")
        return self


class Training(TableBody):
    """A training to run."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    trainer: str = Field(
        min_length=1,
        max_length=1000,
        description="A name that /v1/trainers lists, or the name of a function that the workers register.",
        examples=["random-forest-classifier"],
    )
    dataset: str = Field(
        min_length=1,
        max_length=1000,
        description="A CSV, JSONL, Parquet or NPY file: the id of an upload, a path, or a URL.",
        examples=["churn.csv"],
    )
    target: str = Field(min_length=1, max_length=1000, description="The column to predict.", examples=["churned"])
    model: Name = Field(description="The model that gets a new version. It is created if it does not exist.", examples=["churn"])
    columns: list[str] = Field([], fail_fast=True, description="The columns to learn from (default: all except the target).")
    params: dict[str, Any] = Field({}, description="Parameters of the trainer.")
    search: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(
        {}, description="Values to try for each parameter, in every combination."
    )
    cv: Integer = Field(5, ge=2, le=20, description="Folds of the cross-validation. Each metric is the mean over the folds.")
    holdout: float | None = Field(None, gt=0, le=0.9, description="Share of the rows to measure on, instead of cross-validation.")
    promote_if: dict[str, Condition] | None = Field(
        None,
        min_length=1,
        description="Moves `production` to the new version if every condition holds. Without it, no alias is moved.",
    )
    pool: Annotated[str, Pattern(POOL, "Use lowercase letters, digits and -, for example gpu.")] | None = Field(
        None, description="The pool whose workers run it (default: `CELERIAC_TRAINING_POOL`)."
    )
    time_limit_s: float | None = Field(
        None, gt=0, description="Seconds that it may run (default and maximum: `CELERIAC_TRAINING_TIME_LIMIT_S`)."
    )
    webhook: OptionalWebhook = None

    def checked(self, bounds: Bounds) -> trainings.Training:
        """Return the training. Raises InvalidInput if this installation does not allow it."""
        given = self.model_dump(exclude={"webhook"}, exclude_none=True)
        training = trainings.Training(**{"pool": bounds.pool, "time_limit_s": bounds.time_limit_s, **given})
        training.check(bounds)
        return training
