"""Rate limits: how many requests and rows an owner, or an API key, may send per second, minute, hour or day.

The store counts them by the generic cell rate algorithm (GCRA) in the script that admits a job. A caller who has been quiet may send a
whole quota at once. After that the quota returns evenly: one request of 60 per minute every second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from app.core.errors import PayloadTooLarge, RateLimited

REQUESTS: Final = "requests"
ROWS: Final = "rows"
WINDOWS_S: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
NAMES: Final = tuple(f"{unit}_per_{window}" for unit in (REQUESTS, ROWS) for window in WINDOWS_S)
"""The limits that exist, for example `requests_per_minute`."""
MAX_PER_SECOND: Final = 1_000_000
"""The largest limit per second. The store counts in microseconds."""
OWNER: Final = "owner"
KEY: Final = "key"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One limit of an owner or of an API key.

    Attributes:
        of: `owner` or `key`.
        name: One of `NAMES`.
        quota: Requests or rows per window.
    """

    of: str
    name: str
    quota: int

    @property
    def policy(self) -> str:
        """The name in headers, errors and metrics, for example `owner_requests_per_minute`."""
        return f"{self.of}_{self.name}"

    @property
    def unit(self) -> str:
        """`requests` or `rows`."""
        return self.name.partition("_")[0]

    @property
    def window(self) -> str:
        """`second`, `minute`, `hour` or `day`."""
        return self.name.rpartition("_")[2]

    @property
    def window_s(self) -> int:
        """The seconds in which a spent quota returns completely."""
        return WINDOWS_S[self.window]


@dataclass(frozen=True, slots=True)
class Usage:
    """What is left of a limit.

    Attributes:
        limit: The limit.
        subject: Name of the owner, or ID of the API key.
        remaining: Requests or rows that are left.
        reset_s: Seconds until the quota is complete, or for a refused request until it can be sent again.
    """

    limit: RateLimit
    subject: str
    remaining: int
    reset_s: float


@dataclass(slots=True)
class Charge:
    """What one request takes from each limit that holds for it.

    Attributes:
        limits: The limits, each with its subject: the name of the owner, or the ID of the API key.
        rows: Rows of the request.
        usages: What is left of each limit, once the request is admitted.
    """

    limits: tuple[tuple[RateLimit, str], ...]
    rows: int
    usages: list[Usage] = field(default_factory=list)

    def cost(self, limit: RateLimit) -> int:
        """Return what the request takes from a limit."""
        return self.rows if limit.unit == ROWS else 1

    def check(self) -> None:
        """Raise PayloadTooLarge if the request has more rows than a limit ever allows at once: sending it again would not help."""
        for limit, subject in self.limits:
            if self.cost(limit) > limit.quota:
                raise PayloadTooLarge(
                    f"The request has {self.rows} rows. {_subject(limit, subject)} may send {limit.quota} rows per {limit.window}. "
                    "Send fewer rows per request, or a batch."
                )

    def refused(self, usage: Usage) -> RateLimited:
        """Return the error for a request that a limit does not admit now."""
        limit, cost = usage.limit, self.cost(usage.limit)
        return RateLimited(
            f"{_subject(limit, usage.subject)} may send {limit.quota} {limit.unit} per {limit.window}. The request needs {cost}, "
            f"and {usage.remaining} {'is' if usage.remaining == 1 else 'are'} left. Try again in {usage.reset_s:.3g} s.",
            usage=usage,
        )


def of_key(limits: Mapping[str, int]) -> tuple[RateLimit, ...]:
    """Return the limits in the record of an API key."""
    return tuple(RateLimit(KEY, name, quota) for name, quota in limits.items())


def of_owner(limits: Mapping[str, int]) -> tuple[RateLimit, ...]:
    """Return the limits of each owner. A limit of 0 does not exist."""
    return tuple(RateLimit(OWNER, name, quota) for name, quota in limits.items() if quota)


def _subject(limit: RateLimit, subject: str) -> str:
    return f"Owner {subject!r}" if limit.of == OWNER else f"Key {subject}"
