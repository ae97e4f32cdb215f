"""The body of a request that starts a rollout."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from app.core.errors import InvalidInput
from app.core.models import VERSION
from app.core.rollouts import MAX_ERROR_RATE, MAX_STEPS, MIN_JOBS, STEP_S, STEPS, Rollout
from app.core.routes import JOB
from app.core.stats import Figures
from app.services.requests.body import Integer, Pattern, RequestBody
from app.services.requests.trainings import Condition

_BY: Final = re.compile(r"job|owner|key:[^\x00-\x1f]{1,200}")
Percent = Annotated[float, Field(gt=0, le=100)]


class RolloutRequest(RequestBody):
    """Which version, and how its share grows."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": "4", "steps": [1, 10, 50, 100], "step_s": 600, "min_jobs": 100}]})

    version: Annotated[str, Pattern(VERSION, "Use a version, for example 4.")] = Field(
        description="Version that is rolled out.", examples=["4"]
    )
    steps: list[Percent] = Field(
        list(STEPS),
        min_length=1,
        max_length=MAX_STEPS,
        description="Shares in percent, ascending. After a step of 100, the alias moves. After a smaller last step, the share stays.",
    )
    step_s: float = Field(STEP_S, gt=0, le=30 * 24 * 3600, description="Least seconds of a step.")
    min_jobs: Integer = Field(MIN_JOBS, ge=1, le=1_000_000, description="Least jobs of the version that end in a step.")
    max_error_rate: float = Field(MAX_ERROR_RATE, ge=0, le=1, description="Share of its jobs that may fail. If more do, it is rolled back.")
    max_p95_ratio: float | None = Field(
        None, ge=1, le=1000,
        description="How many times as long as before its runs may take, at their 95th percentile. If more, it is rolled back.",
    )  # fmt: skip
    min_agreement: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of the rows for which it must agree with the version before, as its shadow. If less, it is rolled back.",
    )
    by: Annotated[str, Pattern(_BY, "Use job, owner or key:FIELD, for example key:customer_id.")] = Field(
        JOB,
        description="What decides, by its hash, which requests it takes: `job`, `owner`, or `key:FIELD`, the value of an input in the first row.",
    )
    promote_if: dict[str, Condition] | None = Field(
        None, min_length=1, description="Conditions on the metrics in its manifest. If one does not hold, the rollout does not start."
    )

    def conditions(self) -> dict[str, dict[str, Any]]:
        """Return the conditions as gates take them."""
        return {metric: condition.model_dump(exclude_none=True) for metric, condition in (self.promote_if or {}).items()}

    def rollout(self, id: str, now: float, counted: Figures) -> Rollout:
        """Return the rollout, at its first step. `counted` are the figures of the minute. Raises InvalidInput if the steps do not ascend."""
        if any(later <= earlier for earlier, later in zip(self.steps, self.steps[1:], strict=False)):
            raise InvalidInput("The steps must ascend, as in [1, 10, 50, 100].", pointer="/steps")
        bounds = (self.max_error_rate, self.max_p95_ratio, self.min_agreement)
        return Rollout(id, tuple(self.steps), self.step_s, self.min_jobs, *bounds, started_at=now).stepped(now, counted)
