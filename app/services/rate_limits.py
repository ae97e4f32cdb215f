"""Limits of a request: the rate limits and quotas of its owner, and the rate limits of its API key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from app.core import callers
from app.core.api_keys import Caller
from app.core.quotas import JOBS_OPEN, QUOTAS, Quota
from app.core.rate_limits import NAMES, Charge, RateLimit, counted, of_owner, overrides, quotas_of_owner
from app.settings import Settings

_CHARGES: Final[ContextVar[list[Charge] | None]] = ContextVar("charges", default=None)


class RateLimits:
    """The limits of the platform. Redis counts them when it admits a job."""

    def __init__(self, settings: Settings) -> None:
        every = {name: getattr(settings, f"limit_{name}") for name in (*NAMES, *QUOTAS)}
        single = {owner: every | limits for owner, limits in overrides(settings.owner_limits).items()}
        self._every = (of_owner(every), quotas_of_owner(every))
        self._single = {owner: (of_owner(limits), quotas_of_owner(limits)) for owner, limits in single.items()}
        self.any = any(rates or quotas for rates, quotas in (self._every, *self._single.values()))
        """Whether any owner has a limit."""

    def limits(self, caller: Caller | None) -> bool:
        """Return whether any limit may hold for a caller."""
        return bool(self.any or (caller is not None and caller.limits))

    def rates(self, owner: str) -> tuple[RateLimit, ...]:
        """Return the rate limits of an owner."""
        return self._single.get(owner, self._every)[0]

    def quota(self, name: str, owner: str) -> Quota | None:
        """Return a quota of an owner, or None if it has no such quota."""
        return self._single.get(owner, self._every)[1].get(name)

    def count(self, owner: str) -> Charge | None:
        """Return the charge of a job that no limit refuses. It counts if its owner has a quota of open jobs."""
        return counted(owner) if self.quota(JOBS_OPEN, owner) else None

    def charge(self, rows: int = 0, *, job: bool = True) -> Charge | None:
        """Return what a request of the current caller takes from limits, or None if no limit holds for it.

        Args:
            rows: Rows of the request. A pipeline run and a training count as a request without rows.
            job: Whether it creates a job, which its owner has open until it ends.

        Raises:
            PayloadTooLarge: The request has more rows than a limit ever allows at once.
        """
        caller = callers.CALLER.get()
        if not self.limits(caller):
            return None
        owner = callers.owner()
        limits: list[tuple[RateLimit | Quota, str]] = [(limit, owner) for limit in self.rates(owner)]
        if job and (quota := self.quota(JOBS_OPEN, owner)):
            limits.append((quota, owner))
        if caller is not None:
            limits += [(limit, caller.id) for limit in caller.limits]
        if not limits:
            return None
        charge = Charge(tuple(limits), rows)
        charge.check()
        charges = _CHARGES.get()
        if charges is not None:
            charges.append(charge)
        return charge


@contextmanager
def noting() -> Iterator[list[Charge]]:
    """Collect the charges of the block."""
    charges: list[Charge] = []
    token = _CHARGES.set(charges)
    try:
        yield charges
    finally:
        _CHARGES.reset(token)
