"""Quotas: how much an owner may have open, under way or stored at the same time.

The quota of a rate limit returns with time. These return when something ends or is deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

JOBS_OPEN: Final = "jobs_open"
BATCHES_OPEN: Final = "batches_open"
FILES: Final = "files"
FILES_BYTES: Final = "files_bytes"
QUOTAS: Final = {
    JOBS_OPEN: "jobs that are queued or running",
    BATCHES_OPEN: "batches that have not ended",
    FILES: "stored files",
    FILES_BYTES: "bytes of stored files",
}
"""The quotas that exist, and what they count."""
_UNITS: Final = {JOBS_OPEN: "concurrent-requests", BATCHES_OPEN: "concurrent-requests", FILES_BYTES: "content-bytes"}


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
        """The unit in headers: a registered one, except for files."""
        return _UNITS.get(self.name, self.name)

    @property
    def window_s(self) -> int:
        """Always 0: no time returns it."""
        return 0

    def refusal(self, owner: str, used: int, needed: int = 1) -> str:
        """Return the detail of the error for a request that needs more than is left."""
        return (
            f"Owner {owner!r} may have {self.quota} {QUOTAS[self.name]}, and has {used}. The request needs {needed}. "
            f"Try again when some {'were deleted or have expired' if self.name.startswith(FILES) else 'have ended'}."
        )
