"""What a process runs."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.job_filters import JobHead


@dataclass(frozen=True, slots=True)
class RunningDelivery:
    """A delivery in its process.

    Attributes:
        process: The process, `host/pid`.
        began: When it took the delivery, in seconds since 1970.
        job: ID of the first job.
        jobs: Number of jobs that the delivery joins.
        head: The record of the first job, as far as filters read it.
    """

    process: str
    began: float
    job: str
    jobs: int
    head: JobHead
