"""Quotas: how much an owner may have open, under way or stored at the same time, and how long its work may run in a day.

The quota of a rate limit returns with time. These return when something ends or is deleted, and run seconds at midnight UTC.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

JOBS_OPEN: Final = "jobs_open"
BATCHES_OPEN: Final = "batches_open"
BYTES_OPEN: Final = "bytes_open"
FILES: Final = "files"
FILES_BYTES: Final = "files_bytes"
RUN_SECONDS: Final = "run_seconds_per_day"
DAY_S: Final = 24 * 3600
QUOTAS: Final = {
    JOBS_OPEN: "jobs that are queued or running",
    BATCHES_OPEN: "batches that have not ended",
    BYTES_OPEN: "bytes of inputs of open jobs",
    FILES: "stored files",
    FILES_BYTES: "bytes of stored files",
    RUN_SECONDS: "seconds of run time per UTC day",
}
"""The quotas that exist, and what they count."""
_UNITS: Final = {
    JOBS_OPEN: "concurrent-requests",
    BATCHES_OPEN: "concurrent-requests",
    BYTES_OPEN: "content-bytes",
    FILES_BYTES: "content-bytes",
    RUN_SECONDS: "seconds",
}


@dataclass(frozen=True, slots=True)
class Quota:
    """One quota of an owner.

    Attributes:
        name: One of `QUOTAS`.
        quota: How much the owner may have. With 0 it is counted and not limited.
    """

    name: str
    quota: int

    @property
    def of(self) -> str:
        """Whose it is: always an owner's, so that many keys gain nothing."""
        return "owner"

    @property
    def policy(self) -> str:
        """The name in headers, errors and metrics, for example `owner_jobs_open`."""
        return f"owner_{self.name}"

    @property
    def unit(self) -> str:
        """The unit in headers: a registered one, except for files and run seconds."""
        return _UNITS.get(self.name, self.name)

    @property
    def window_s(self) -> int:
        """The seconds in which a spent quota returns: a day for run seconds, 0 for the others, which no time returns."""
        return DAY_S if self.name == RUN_SECONDS else 0

    def refusal(self, owner: str, used: int, needed: int = 1, reset_s: float = 0.0) -> str:
        """Return the detail of the error for a request that needs more than is left."""
        if self.name == RUN_SECONDS:
            return (
                f"Owner {owner!r} may use {self.quota} {QUOTAS[self.name]}, and has used {used}. "
                f"Try again after midnight UTC, in {math.ceil(reset_s)} s."
            )
        return (
            f"Owner {owner!r} may have {self.quota} {QUOTAS[self.name]}, and has {used}. The request needs {needed}. "
            f"Try again when some {'were deleted or have expired' if self.name.startswith(FILES) else 'have ended'}."
        )


def until_midnight_s(now: float) -> float:
    """Return the seconds from `now` (seconds since 1970) to the next midnight UTC."""
    return DAY_S - now % DAY_S
