"""/v1/trainings and /v1/trainers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import Query
from pydantic import Field
from typing_extensions import TypedDict

from app.api.schemas import jobs
from app.api.schemas.openapi import documented
from app.api.schemas.queries import Page
from app.core.jobs import State
from app.core.trainers import Kind
from app.services.requests.trainings import Training


class TrainingJob(jobs.Job):
    """A training as a job. Its result holds the version, its metrics, the decision of the promotion gate with its reason, and the data set with its sha256."""


class Trainings(TypedDict):
    """A page of trainings."""

    items: list[TrainingJob]
    next: Annotated[str | None, Field(description="Cursor of the next page; null on the last page.")]


class Trainer(TypedDict):
    """An estimator that a training may name."""

    name: str
    kind: Kind
    estimator: Annotated[str, Field(description="Import path of the estimator.")]
    params: Annotated[Sequence[str], Field(description="What `params` and `search` may set.")]
    metrics: Annotated[Sequence[str], Field(description="The measured metrics, which `promote_if` may name.")]


class Trainers(TypedDict):
    """Every trainer of scikit-learn's."""

    items: list[Trainer]


def _submit(body: Training, idempotency_key: jobs.IdempotencyKey = None) -> None: ...


class TrainingsQuery(Page):
    """Which trainings to list."""

    state: Annotated[State, Field(strict=False)] | None = Field(None, description="Only trainings in this state.")
    model: str | None = Field(None, description="Only trainings of this model.")


def _list(query: Annotated[TrainingsQuery, Query()]) -> None: ...


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
