"""Rollouts: the share of a canary grows step by step while it does well, and it is rolled back as soon as it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any, Final, Self

from app.core.jobs import State
from app.core.shadows import ShadowReport
from app.core.stats import Figures, quantile

STEPS: Final = (1.0, 10.0, 50.0, 100.0)
MAX_STEPS: Final = 20
STEP_S: Final = 600.0
MIN_JOBS: Final = 100
MAX_ERROR_RATE: Final = 0.05


class RolloutState(StrEnum):
    """The state of a rollout."""

    RUNNING = "running"
    """The canary takes its share. The next step waits for its time and its jobs."""
    COMPLETED = "completed"
    """The alias points to the version."""
    ROLLED_BACK = "rolled_back"
    """Somebody ended the rollout, or moved the alias otherwise."""
    ABORTED = "aborted"
    """The canary failed. The alias leads to the version before alone."""

    @property
    def final(self) -> bool:
        """Whether the rollout has ended."""
        return self is not RolloutState.RUNNING


@dataclass(frozen=True, slots=True)
class Rollout:
    """How the share of a canary grows, and how far it is.

    Attributes:
        id: ID of the rollout.
        steps: The shares in percent, ascending.
        step_s: Least seconds of a step.
        min_jobs: Least jobs of the canary that end in a step.
        max_error_rate: Share of the canary's jobs that may fail.
        max_p95_ratio: How many times as long as those of the version before the canary's runs may take, at their 95th percentile.
            None does not compare them.
        min_agreement: Share of the rows for which the version, as a shadow, must give the answers of the version before. None does not ask.
        started_at: When it began, seconds since 1970.
        step_at: When the step began.
        succeeded: Jobs of the canary that had succeeded in the minute in which the step began, before it.
        failed: Those that had failed.
    """

    id: str
    steps: tuple[float, ...] = STEPS
    step_s: float = STEP_S
    min_jobs: int = MIN_JOBS
    max_error_rate: float = MAX_ERROR_RATE
    max_p95_ratio: float | None = None
    min_agreement: float | None = None
    started_at: float = 0.0
    step_at: float = 0.0
    succeeded: int = 0
    failed: int = 0

    def after(self, percent: float) -> float | None:
        """Return the next step after a share, or None after the last one."""
        return next((step for step in self.steps if step > percent), None)

    def stepped(self, now: float, counted: Figures) -> Self:
        """Return the rollout at the begin of a step. `counted` are the canary's figures of the minute."""
        return replace(self, step_at=now, succeeded=counted.ended(State.SUCCEEDED), failed=counted.ended(State.FAILED))

    def as_dict(self) -> dict[str, Any]:
        """Return the rollout as JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Raises ValueError."""
        kinds = {item.name: item.type for item in fields(cls)}
        if not isinstance(data, Mapping) or not {"id"} <= data.keys() <= kinds.keys():
            raise ValueError(f"a rollout has the field id, and may have {', '.join(sorted(kinds.keys() - {'id'}))}")
        steps = data.get("steps", STEPS)
        numbers = [value for name, value in data.items() if name not in ("id", "steps")]
        if not isinstance(steps, list | tuple) or not all(isinstance(value, int | float) for value in (*steps, *numbers)):
            raise ValueError("the fields of a rollout must be numbers, and its steps a list of them")
        return cls(**{**data, "id": str(data["id"]), "steps": tuple(float(step) for step in steps)})


@dataclass(frozen=True, slots=True)
class Progress:
    """How a step goes.

    Attributes:
        succeeded: Jobs of the canary that have succeeded since the step began.
        failed: Those that have failed.
        missing_jobs: How many more must end before the next step.
        left_s: Seconds that the step lasts at least.
        p95_s: 95th percentile of the canary's run times since the step began, in seconds, or None if nothing ran.
        before_p95_s: That of the version before.
        fault: Why the canary has to go, or an empty text.
    """

    succeeded: int
    failed: int
    missing_jobs: int
    left_s: float
    p95_s: float | None
    before_p95_s: float | None
    fault: str

    @property
    def passed(self) -> bool:
        """Whether the next step may begin."""
        return not (self.missing_jobs or self.left_s or self.fault)


def progress(rollout: Rollout, canary: Figures, before: Figures, now: float, shadow: ShadowReport | None = None) -> Progress:
    """Judge a step by what has ended since it began.

    The canary has failed as soon as the error rate would be too high even if all jobs that are still missing succeeded. Run times are
    compared once both versions have `min_jobs`.

    Args:
        rollout: The rollout.
        canary: Figures of the canary since the minute in which the step began.
        before: Those of the version that the alias points to.
        now: The time, seconds since 1970.
        shadow: What the comparisons of the two versions have shown.
    """
    succeeded = max(0, canary.ended(State.SUCCEEDED) - rollout.succeeded)
    failed = max(0, canary.ended(State.FAILED) - rollout.failed)
    ended, fault = succeeded + failed, ""
    p95_s, before_p95_s = quantile(canary.runs, 0.95), quantile(before.runs, 0.95)
    if failed > rollout.max_error_rate * max(ended, rollout.min_jobs):
        fault = f"{failed} of {ended} jobs failed. At most {rollout.max_error_rate:.3g} of {max(ended, rollout.min_jobs)} may."
    elif (
        rollout.max_p95_ratio is not None
        and p95_s is not None
        and before_p95_s is not None
        and min(ended, before.ran) >= rollout.min_jobs
        and p95_s > rollout.max_p95_ratio * before_p95_s
    ):
        fault = f"95 percent of its runs take up to {p95_s:.3g} s, {p95_s / before_p95_s:.3g} times as long as before. At most {rollout.max_p95_ratio:.3g} times is allowed."
    elif (
        rollout.min_agreement is not None
        and shadow is not None
        and shadow.rows >= rollout.min_jobs
        and shadow.agreed < rollout.min_agreement * shadow.rows
    ):
        fault = f"it agrees with the version before for {shadow.agreed} of {shadow.rows} rows. At least {rollout.min_agreement:.3g} of them must agree."
    left_s = max(0.0, rollout.step_at + rollout.step_s - now)
    return Progress(succeeded, failed, max(0, rollout.min_jobs - ended), left_s, p95_s, before_p95_s, fault)


@dataclass(frozen=True, slots=True)
class RolloutRecord:
    """The last rollout of an alias.

    Attributes:
        id: ID of the rollout.
        version: The version that is rolled out.
        before: The version that the alias pointed to when it began.
        state: Its state.
        percent: The share that the canary has, or had at the end.
        reason: Why it ended, or an empty text.
        at: When the state or the share changed last, seconds since 1970.
    """

    id: str
    version: str
    before: str
    state: RolloutState
    percent: float
    reason: str
    at: float

    def over(self, version: str | None) -> Self:
        """Return the record of a rollout that is not under way any more, whose alias points to a version, or is gone."""
        if self.state.final:
            return self
        if version == self.version:
            return replace(self, state=RolloutState.COMPLETED)
        return replace(self, state=RolloutState.ROLLED_BACK, reason="The alias was moved otherwise.")

    def as_dict(self) -> dict[str, Any]:
        """Return the record as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Raises ValueError, TypeError or KeyError."""
        text = {name: str(data[name]) for name in ("id", "version", "before", "reason")}
        return cls(**text, state=RolloutState(data["state"]), percent=float(data["percent"]), at=float(data["at"]))
