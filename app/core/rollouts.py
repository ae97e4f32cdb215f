"""Rollouts: the share of a canary grows step by step while it does well, and it is rolled back as soon as it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Final, Self

STEPS: Final = (1.0, 10.0, 50.0, 100.0)
MAX_STEPS: Final = 20
STEP_S: Final = 600.0
MIN_JOBS: Final = 100
MAX_ERROR_RATE: Final = 0.05


class RolloutState(StrEnum):
    """The state of a rollout."""

    RUNNING = "running"
    """The canary takes its share. The next step waits for its time and its jobs."""
    HOLDING = "holding"
    """The last step is reached, and it is below 100 percent. The share stays until somebody decides."""
    PROMOTING = "promoting"
    """The canary has passed all steps. The alias moves as soon as a worker has noticed."""
    COMPLETED = "completed"
    """The alias points to the version."""
    ROLLED_BACK = "rolled_back"
    """Somebody ended the rollout. The alias points to the version before."""
    ABORTED = "aborted"
    """The canary failed. The alias points to the version before."""

    @property
    def final(self) -> bool:
        """Whether the rollout has ended."""
        return self in (RolloutState.COMPLETED, RolloutState.ROLLED_BACK, RolloutState.ABORTED)


@dataclass(frozen=True, slots=True)
class Rollout:
    """How the share of a canary grows, and how far it is.

    Attributes:
        id: ID of the rollout.
        steps: The shares in percent, ascending.
        step_s: Least seconds of a step.
        min_jobs: Least jobs of the canary that end in a step.
        max_error_rate: Share of the canary's jobs that may fail.
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
    started_at: float = 0.0
    step_at: float = 0.0
    succeeded: int = 0
    failed: int = 0

    def after(self, percent: float) -> float | None:
        """Return the next step after a share, or None after the last one."""
        return next((step for step in self.steps if step > percent), None)

    def as_dict(self) -> dict[str, Any]:
        """Return the rollout as JSON."""
        return asdict(self)

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
        fault: Why the canary has to go, or an empty text.
    """

    succeeded: int
    failed: int
    missing_jobs: int
    left_s: float
    fault: str

    @property
    def passed(self) -> bool:
        """Whether the next step may begin."""
        return not (self.missing_jobs or self.left_s or self.fault)


def progress(rollout: Rollout, succeeded: int, failed: int, now: float) -> Progress:
    """Judge a step by the jobs of the canary that have ended since it began.

    The canary has failed as soon as the error rate would be too high even if all jobs that are still missing succeeded.
    """
    ended = succeeded + failed
    fault = ""
    if failed > rollout.max_error_rate * max(ended, rollout.min_jobs):
        fault = f"{failed} of {ended} jobs failed. At most {rollout.max_error_rate:.3g} of {max(ended, rollout.min_jobs)} may."
    left_s = max(0.0, rollout.step_at + rollout.step_s - now)
    return Progress(succeeded, failed, max(0, rollout.min_jobs - ended), left_s, fault)


@dataclass(frozen=True, slots=True)
class RolloutEnd:
    """How the last rollout of an alias ended. `before` is the version that the alias pointed to when it began."""

    id: str
    version: str
    before: str
    state: str
    percent: float
    reason: str
    at: float

    def as_dict(self) -> dict[str, Any]:
        """Return the end as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Raises ValueError, TypeError or KeyError."""
        text = {name: str(data[name]) for name in ("id", "version", "before", "reason")}
        return cls(**text, state=RolloutState(data["state"]), percent=float(data["percent"]), at=float(data["at"]))
