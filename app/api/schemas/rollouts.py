"""The rollout of a version to an alias."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Path
from pydantic import Field
from typing_extensions import TypedDict

from app.api.schemas.inference import Name
from app.api.schemas.openapi import documented
from app.core import models
from app.core.rollouts import RolloutState
from app.services.requests.rollouts import RolloutRequest

Alias = Annotated[str, Path(description="Name of the alias.", pattern=f"^{models.ALIAS.pattern}$", examples=["production"])]


class RolloutStep(TypedDict):
    """How the current step goes."""

    succeeded: Annotated[int, Field(description="Jobs of the version that have succeeded since the step began.")]
    failed: Annotated[int, Field(description="Those that have failed.")]
    missing_jobs: Annotated[int, Field(description="How many more jobs must end before the next step.")]
    left_s: Annotated[float, Field(description="Seconds until the next step may begin.")]
    p95_s: Annotated[float | None, Field(description="95th percentile of its run times; null if nothing ran.")]
    before_p95_s: Annotated[float | None, Field(description="That of the version before.")]


class Rollout(TypedDict):
    """The last rollout of an alias. The fields from `by` on are null when it has ended."""

    id: str
    model: str
    alias: str
    version: Annotated[str, Field(description="The version that is rolled out.")]
    before: Annotated[str, Field(description="The version that the alias pointed to when it began.")]
    state: Annotated[
        RolloutState,
        Field(
            description="running, completed: the alias points to the version. rolled_back, aborted: it leads to the one before. See reason."
        ),
    ]
    percent: Annotated[float, Field(description="Share of the requests for the alias that the version answers, or answered at the end.")]
    reason: Annotated[str, Field(description="Why it ended, or empty.")]
    updated_at: Annotated[str, Field(description="When the state or the share changed last.")]
    by: Annotated[str | None, Field(description="What decides which requests it takes: job, owner or key:FIELD.")]
    steps: list[float] | None
    step_s: float | None
    min_jobs: int | None
    max_error_rate: float | None
    max_p95_ratio: float | None
    min_agreement: float | None
    started_at: str | None
    step_at: Annotated[str | None, Field(description="When the step began.")]
    step: Annotated[RolloutStep | None, Field(description="Null if it has ended, or a manifest cannot be read.")]


def _start(name: Name, alias: Alias, body: RolloutRequest) -> None: ...


def _alias(name: Name, alias: Alias) -> None: ...


START: Final = documented(_start, Rollout, response_description="The rollout, running.")
READ: Final = documented(_alias, Rollout, response_description="The rollout.")
ROLL_BACK: Final = documented(_alias, Rollout, response_description="The rollout, ended.")
