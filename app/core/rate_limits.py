"""Rate limits: how many requests and rows an owner, or an API key, may send per second, minute, hour or day.

The store counts them by the generic cell rate algorithm (GCRA) in the script that admits a job. A caller who has been quiet may send a
whole quota at once. After that the quota returns evenly: one request of 60 per minute every second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from app.core.errors import PayloadTooLarge, QuotaExceeded, RateLimited
from app.core.quotas import BYTES_OPEN, QUOTAS, RUN_SECONDS, Quota

REQUESTS: Final = "requests"
ROWS: Final = "rows"
WINDOWS_S: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
NAMES: Final = tuple(f"{unit}_per_{window}" for unit in (REQUESTS, ROWS) for window in WINDOWS_S)
"""The limits that exist, for example `requests_per_minute`."""
MAX_PER_SECOND: Final = 1_000_000
"""The largest limit per second. The store counts in microseconds."""
MAX_QUOTA: Final = 10**15
"""The largest quota. Lua and JSON keep it exact."""
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
        limit: The rate limit or quota.
        subject: Name of the owner, or ID of the API key.
        remaining: What is left, in the unit of the limit. Negative if an owner has more than a quota that was reduced.
        reset_s: Seconds until the quota is complete, or for a refused request until it can be sent again. 0 if time does not return it.
    """

    limit: RateLimit | Quota
    subject: str
    remaining: int
    reset_s: float


@dataclass(slots=True)
class Charge:
    """What one request takes from each limit that holds for it.

    Attributes:
        limits: The limits, each with its subject: the name of the owner, or the ID of the API key.
        rows: Rows of the request.
        bytes: Bytes of its inputs.
        usages: What is left of each limit, once the request is admitted.
    """

    limits: tuple[tuple[RateLimit | Quota, str], ...]
    rows: int
    bytes: int = 0
    usages: list[Usage] = field(default_factory=list)

    def cost(self, limit: RateLimit | Quota) -> int:
        """Return what the request takes from a limit, or for run seconds its rows, by which the jobs of a delivery share them."""
        if limit.name == RUN_SECONDS:
            return max(1, self.rows)
        if limit.name == BYTES_OPEN:
            return self.bytes
        return self.rows if limit.unit == ROWS else 1

    def check(self) -> None:
        """Raise PayloadTooLarge if the request has more rows or bytes than a limit ever allows at once: sending it again would not help."""
        for limit, subject in self.limits:
            if limit.name == BYTES_OPEN and self.bytes > limit.quota > 0:
                raise PayloadTooLarge(
                    f"The inputs have {self.bytes} bytes. Owner {subject!r} may have {limit.quota} bytes of inputs of open jobs. "
                    "Send fewer rows per request, or a batch."
                )
            if isinstance(limit, RateLimit) and self.cost(limit) > limit.quota:
                raise PayloadTooLarge(
                    f"The request has {self.rows} rows. {_subject(limit, subject)} may send {limit.quota} rows per {limit.window}. "
                    "Send fewer rows per request, or a batch."
                )

    def refused(self, usage: Usage) -> RateLimited | QuotaExceeded:
        """Return the error for a request that a limit does not admit now."""
        limit, cost = usage.limit, self.cost(usage.limit)
        if isinstance(limit, Quota):
            return exceeded(limit, usage.subject, limit.quota - usage.remaining, cost, reset_s=usage.reset_s)
        return RateLimited(
            f"{_subject(limit, usage.subject)} may send {limit.quota} {limit.unit} per {limit.window}. The request needs {cost}, "
            f"and {usage.remaining} {'is' if usage.remaining == 1 else 'are'} left. Try again in {usage.reset_s:.3g} s.",
            usage=usage,
        )


def counted(owner: str, *names: str, rows: int = 0, bytes: int = 0) -> Charge:
    """Return the charge of a job that no limit refuses, and that counts in these quotas of its owner."""
    return Charge(tuple((Quota(name, 0), owner) for name in names), rows, bytes)


def exceeded(quota: Quota, owner: str, used: int, needed: int = 1, reset_s: float = 0.0) -> QuotaExceeded:
    """Return the error for a request of an owner that has `used` of a quota, and needs more than is left.

    Args:
        quota: The quota.
        owner: The owner.
        used: What the owner has used of it.
        needed: What the request needs.
        reset_s: Seconds until the quota returns. 0 if time does not return it.
    """
    detail, usage = quota.refusal(owner, used, needed, reset_s), Usage(quota, owner, quota.quota - used, reset_s)
    return QuotaExceeded(detail, usage=usage, **({"retry_after_s": reset_s} if reset_s else {}))


def of_key(limits: Mapping[str, int]) -> tuple[RateLimit, ...]:
    """Return the limits in the record of an API key."""
    return tuple(RateLimit(KEY, name, quota) for name, quota in limits.items())


def of_owner(limits: Mapping[str, int]) -> tuple[RateLimit, ...]:
    """Return the rate limits of an owner. A limit of 0 does not exist."""
    return tuple(RateLimit(OWNER, name, quota) for name, quota in limits.items() if quota and name in NAMES)


def quotas_of_owner(limits: Mapping[str, int]) -> dict[str, Quota]:
    """Return the quotas of an owner by their names. A quota of 0 does not exist."""
    return {name: Quota(name, quota) for name, quota in limits.items() if quota and name in QUOTAS}


def overrides(listed: str) -> dict[str, dict[str, int]]:
    """Return the limits of single owners in a setting, by the owner and the name of the limit.

    Args:
        listed: For example `team-a=jobs_open:1000,team-a=files:50`. A limit of 0 lifts the one of every owner.

    Raises:
        ValueError: An element does not have this form, or its limit does not exist.
    """
    owners: dict[str, dict[str, int]] = {}
    for element in filter(None, map(str.strip, listed.split(","))):
        owner, _, limit = element.rpartition("=")
        name, _, quota = limit.partition(":")
        if not owner or name not in (*NAMES, *QUOTAS) or not quota.isascii() or not quota.isdigit() or int(quota) > MAX_QUOTA:
            raise ValueError(
                f"{element!r} is not OWNER=LIMIT:NUMBER with a number from 0 to {MAX_QUOTA}. Use for example 'team-a=jobs_open:1000'. "
                f"Limits are {', '.join((*NAMES, *QUOTAS))}"
            )
        owners.setdefault(owner, {})[name] = int(quota)
    return owners


def _subject(limit: RateLimit, subject: str) -> str:
    return f"Owner {subject!r}" if limit.of == OWNER else f"Key {subject}"
