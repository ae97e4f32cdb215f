"""Limits of a request: the rate limits and quotas of its owner, and the rate limits of its API key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import redis.asyncio

from app.core import callers
from app.core.api_keys import Caller
from app.core.quotas import BYTES_OPEN, JOBS_OPEN, QUOTAS, RUN_SECONDS, Quota
from app.core.rate_limits import NAMES, Charge, RateLimit, counted, of_owner, overrides, quotas_of_owner
from app.settings import Settings, names
from app.store import rate_limits, scripts

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
        self.limits_runs = any(RUN_SECONDS in quotas for _, quotas in (self._every, *self._single.values()))
        """Whether any owner has a limit on run seconds."""
        self._run_pools = frozenset(names(settings.run_seconds_pools))

    def limits(self, caller: Caller | None) -> bool:
        """Return whether any limit may hold for a caller."""
        return bool(self.any or (caller is not None and caller.limits))

    def rates(self, owner: str) -> tuple[RateLimit, ...]:
        """Return the rate limits of an owner."""
        return self._single.get(owner, self._every)[0]

    def quota(self, name: str, owner: str) -> Quota | None:
        """Return a quota of an owner, or None if it has no such quota."""
        return self._single.get(owner, self._every)[1].get(name)

    def count(self, owner: str, pool: str, rows: int, bytes: int) -> Charge | None:
        """Return the charge of a job that no limit refuses. It counts in the quotas of open jobs, of their bytes, and of run seconds."""
        counting = [name for name in (JOBS_OPEN, BYTES_OPEN) if self.quota(name, owner)]
        counting += [RUN_SECONDS] if self.runs_count(pool) else []
        return counted(owner, *counting, rows=rows, bytes=bytes) if counting else None

    def count_run(self, owner: str, pool: str) -> Charge | None:
        """Return the charge of a part of accepted work, of which only the run seconds count."""
        return counted(owner, RUN_SECONDS) if self.runs_count(pool) else None

    async def check_run(self, client: redis.asyncio.Redis, owner: str, pool: str) -> None:
        """Raise QuotaExceeded if the work of an owner has run for as long today as it may in this pool."""
        if (quota := self.quota(RUN_SECONDS, owner)) and self.runs_count(pool):
            await pay(client, Charge(((quota, owner),), 0))

    def charge(self, rows: int = 0, *, pools: Iterable[str], bytes: int = 0, job: bool = True) -> Charge | None:
        """Return what a request of the current caller takes from limits, or None if no limit holds for it.

        Args:
            rows: Rows of the request. A pipeline run and a training count as a request without rows.
            pools: The pools that may run it.
            bytes: Bytes of its inputs.
            job: Whether it creates a job, which its owner has open until it ends.

        Raises:
            PayloadTooLarge: The request has more rows or bytes than a limit ever allows at once.
        """
        caller = callers.CALLER.get()
        if not self.limits(caller):
            return None
        owner = callers.owner()
        limits: list[tuple[RateLimit | Quota, str]] = [(limit, owner) for limit in self.rates(owner)]
        if job:
            limits += [(quota, owner) for name in (JOBS_OPEN, BYTES_OPEN) if (quota := self.quota(name, owner))]
        if self.runs_count(*pools):
            quota = self.quota(RUN_SECONDS, owner)
            # Without a quota it is counted, too: the owners of a delivery share the run.
            if quota or job:
                limits.append((quota or Quota(RUN_SECONDS, 0), owner))
        if caller is not None:
            limits += [(limit, caller.id) for limit in caller.limits]
        if not limits:
            return None
        charge = Charge(tuple(limits), rows, bytes)
        charge.check()
        charges = _CHARGES.get()
        if charges is not None:
            charges.append(charge)
        return charge

    def runs_count(self, *pools: str) -> bool:
        """Return whether run seconds count in one of these pools."""
        return self.limits_runs and (not self._run_pools or not self._run_pools.isdisjoint(pools))


async def pay(client: redis.asyncio.Redis, charge: Charge) -> None:
    """Charge the limits of a request that does not enter a queue.

    Raises:
        RateLimited: A rate limit refuses the request.
        QuotaExceeded: A quota refuses the request.
        RedisError: Redis did not answer.
    """
    status, *rest = await scripts.run_async(client, scripts.charge(charge))
    rate_limits.conclude(status, rest, charge)


@contextmanager
def noting() -> Iterator[list[Charge]]:
    """Collect the charges of the block."""
    charges: list[Charge] = []
    token = _CHARGES.set(charges)
    try:
        yield charges
    finally:
        _CHARGES.reset(token)
