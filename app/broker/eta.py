"""Estimating when a queued job starts, from the recent duration of jobs of its queue."""

from __future__ import annotations

from typing import Final

_WEIGHT: Final = 0.2


class StartEstimate:
    """Learns from the deliveries of one API process. A queue without any of them has no estimate."""

    def __init__(self) -> None:
        """Start without an estimate for any queue."""
        self._job_s: dict[str, float] = {}

    def seen(self, queue: str, run_s: float, jobs: int) -> None:
        """Record that a delivery of `jobs` jobs ran for `run_s` seconds."""
        each = run_s / jobs
        before = self._job_s.get(queue, each)
        self._job_s[queue] = before + _WEIGHT * (each - before)

    def until_start(self, queue: str, position: int, slots: int) -> float | None:
        """Return the seconds until the job in that position starts, or None without an estimate. `slots` jobs run at once."""
        each = self._job_s.get(queue)
        return None if each is None or not slots else position * each / slots
