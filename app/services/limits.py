"""What is left of the limits of a caller."""

from __future__ import annotations

import asyncio
import time

import redis.asyncio

from app.core import callers
from app.core.api_keys import Scope
from app.core.quotas import BATCHES_OPEN, BYTES_OPEN, FILES, FILES_BYTES, JOBS_OPEN, QUOTAS, RUN_SECONDS, until_midnight_s
from app.core.rate_limits import RateLimit, Usage
from app.services.rate_limits import RateLimits
from app.store import usage
from app.store.files import files


class LimitService:
    """The limits of owners and API keys, as they are now."""

    def __init__(self, client: redis.asyncio.Redis, rate_limits: RateLimits) -> None:
        self._client = client
        self._rate_limits = rate_limits

    async def usages(self, owner: str | None = None) -> list[Usage]:
        """Return what is left of each limit.

        Args:
            owner: Whose limits (default: those of the caller's owner and of its key).

        Raises:
            ScopeMissing: It is another owner, and the caller does not see what belongs to it.
        """
        caller = callers.CALLER.get()
        own = callers.owner()
        if owner is not None and not callers.sees(owner):
            callers.require(Scope.OPERATE)
        subject = own if owner is None else owner
        rates: list[tuple[RateLimit, str]] = [(limit, subject) for limit in self._rate_limits.rates(subject)]
        if caller is not None and subject == own:
            rates += [(limit, caller.id) for limit in caller.limits]
        return await usage.of_rates(self._client, rates) + await self._of_quotas(subject)

    async def _of_quotas(self, owner: str) -> list[Usage]:
        quotas = {name: quota for name in QUOTAS if (quota := self._rate_limits.quota(name, owner))}
        used: dict[str, int] = {
            name: await usage.open_count(self._client, name, owner) for name in (JOBS_OPEN, BATCHES_OPEN) if name in quotas
        }
        if BYTES_OPEN in quotas:
            used[BYTES_OPEN] = await usage.open_bytes(self._client, owner)
        if FILES in quotas or FILES_BYTES in quotas:
            used[FILES], used[FILES_BYTES] = await asyncio.to_thread(files().usage, owner)
        now = time.time()
        if RUN_SECONDS in quotas:
            used[RUN_SECONDS] = int(await usage.run_seconds(self._client, owner, now))
        resets = {RUN_SECONDS: until_midnight_s(now)}
        return [Usage(quota, owner, quota.quota - used[name], resets.get(name, 0.0)) for name, quota in quotas.items()]
