"""When a job that waits may start: told from how long jobs of its queue ran lately."""

from __future__ import annotations

from typing import Final

_WEIGHT: Final = 0.2


class StartEstimate:
    """Learns from the deliveries of one API process; of a queue that none of them went through it knows nothing."""

    def __init__(self) -> None:
        self._job_s: dict[str, float] = {}

    def seen(self, queue: str, run_s: float, jobs: int) -> None:
        """A delivery of so many jobs ran for `run_s`."""
        each = run_s / jobs
        before = self._job_s.get(queue, each)
        self._job_s[queue] = before + _WEIGHT * (each - before)

    def until_start(self, queue: str, position: int, slots: int) -> float | None:
        """Seconds until the job in that position starts; None where there is nothing to tell it by. `slots` jobs run at once."""
        each = self._job_s.get(queue)
        return None if each is None or not slots else position * each / slots
