"""What `rate_limits.lua` gets and returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import orjson

from app import metrics
from app.core.errors import QuotaExceeded, RateLimited
from app.core.quotas import BYTES_OPEN, RUN_SECONDS, Quota
from app.core.rate_limits import Charge, RateLimit, Usage

_OPEN: Final = 0
_OTHERS: Final = {RUN_SECONDS: -1, BYTES_OPEN: -2}
"""What the script gets in place of the window of a rate limit."""


def encode(charges: Sequence[Charge | None]) -> bytes:
    """Return the argument of a script: the charge of each job. It is empty if none of them has a limit."""
    if not any(charges):
        return b""
    return orjson.dumps([[] if charge is None else _limits(charge) for charge in charges])


def refusals(answer: Sequence[int], charges: Sequence[Charge | None]) -> Iterator[tuple[int, RateLimited | QuotaExceeded]]:
    """Yield the place of each job that a limit refuses, and the error. Each is counted."""
    for at in range(0, len(answer), 4):
        place, index, remaining, wait_us = answer[at : at + 4]
        charge = charges[place]
        assert charge is not None, "a job without a charge is not limited"
        limit, subject = charge.limits[index]
        note_refusal(limit)
        yield place, charge.refused(Usage(limit, subject, remaining, wait_us / 1e6))


def note_refusal(limit: RateLimit | Quota) -> None:
    """Count a request that a limit refuses."""
    metrics.RATE_LIMITED.labels(limit.policy).inc()


def note_usages(answer: Sequence[int], charges: Sequence[Charge | None]) -> None:
    """Note in the charges of admitted jobs what is left of each limit. What is counted without a limit is not noted."""
    numbers = iter(answer)
    for charge in charges:
        if charge is not None:
            usages = [Usage(limit, subject, next(numbers), next(numbers) / 1e6) for limit, subject in charge.limits]
            charge.usages = [usage for usage in usages if usage.limit.quota]


def conclude(status: bytes, rest: Sequence[Sequence[int]], charge: Charge | None) -> None:
    """Handle the answer about a single job: `rest` is what the script returned about its limits.

    Raises:
        RateLimited: A rate limit refuses the job.
        QuotaExceeded: A quota refuses the job.
    """
    if status == b"limited":
        for _, error in refusals(rest[0], [charge]):
            raise error
    if charge is not None and status == b"ok":
        note_usages(rest[0], [charge])


def _limits(charge: Charge) -> list[tuple[str, int, int, int]]:
    return [_encoded(limit, subject, charge.cost(limit)) for limit, subject in charge.limits]


def _encoded(limit: RateLimit | Quota, subject: str, cost: int) -> tuple[str, int, int, int]:
    if isinstance(limit, RateLimit):
        return f"{limit.policy}:{subject}", cost, limit.quota, limit.window_s
    return subject, cost, limit.quota, _OTHERS.get(limit.name, _OPEN)
