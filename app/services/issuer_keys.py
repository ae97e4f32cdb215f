"""The keys of one issuer, as one process caches them.

Anybody can send a token with a made-up `kid`. So such tokens cause one fetch in `_COOLDOWN_S` at most, whatever their number.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

import httpx

from app import metrics
from app.core.errors import IssuerUnavailable
from app.core.identities import Issuer, fault
from app.services.issuer_documents import VerificationKey, fetch_keys

log = logging.getLogger(__name__)
_MAX_AGE_S: Final = 600.0
_STALE_S: Final = 24 * 3600.0
"""How long keys are used while they cannot be fetched again. After that a key that was withdrawn must not be accepted."""
_COOLDOWN_S: Final = 30.0
_RETRY_S: Final = 5.0
_UNKNOWN_S: Final = 300.0
_MAX_UNKNOWN: Final = 128
_NEVER: Final = float("-inf")


class IssuerKeys:
    """The keys of an issuer. One fetch is in flight at a time, and everybody who needs its result waits for it.

    Args:
        issuer: The issuer.
        clock: Returns seconds that never go back.
    """

    def __init__(self, issuer: Issuer, clock: Callable[[], float] = time.monotonic) -> None:
        self.issuer = issuer
        self._clock = clock
        self._keys: dict[str, VerificationKey] = {}
        self._fetched_at = self._tried_at = self._forced_at = _NEVER
        self._unknown: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None
        self._trouble = ""

    def current(self, id: str) -> VerificationKey | None:
        """Return a key that may be used now, without a fetch. A token without a `kid` means the only key."""
        if self._clock() - self._fetched_at > _STALE_S:
            return None
        if not id and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(id)

    async def get(self, id: str) -> VerificationKey:
        """Return a key.

        Args:
            id: The `kid` of the token, or an empty text.

        Raises:
            InvalidToken: The issuer does not publish the key.
            IssuerUnavailable: No keys could be fetched.
        """
        now = self._clock()
        if now - self._fetched_at > _STALE_S:
            if self._task is not None or now - self._tried_at >= _RETRY_S:
                await self._fetch()
            if self._clock() - self._fetched_at > _STALE_S:
                raise IssuerUnavailable(
                    f"The keys of the issuer {self.issuer.name} cannot be fetched, so its tokens cannot be verified. Try again.",
                    retry_after_s=_RETRY_S,
                )
        key = self.current(id)
        if key is None and self._may_force(id, now):
            await self._fetch()
            key = self.current(id)
            if key is None and not self._trouble:
                self._remember(id, now)
        if key is None:
            raise fault("key")
        return key

    def refresh(self) -> None:
        """Start to fetch the keys if it is time. Requests are served with the ones that are there."""
        now = self._clock()
        due_s = _RETRY_S if self._fetched_at == _NEVER else _COOLDOWN_S if self._trouble else _MAX_AGE_S
        if self._task is None and now - self._tried_at >= due_s:
            self._begin()

    async def aclose(self) -> None:
        """Give up the fetch in flight."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _may_force(self, id: str, now: float) -> bool:
        """Return whether a token with an unknown key may cause a fetch, or wait for the one in flight."""
        if self._task is not None:
            return True
        if now - self._forced_at < _COOLDOWN_S or now - self._unknown.get(id, _NEVER) < _UNKNOWN_S:
            return False
        self._forced_at = now
        return True

    def _remember(self, id: str, now: float) -> None:
        self._unknown.setdefault(id, now)
        while len(self._unknown) > _MAX_UNKNOWN or now - next(iter(self._unknown.values()), now) >= _UNKNOWN_S:
            del self._unknown[next(iter(self._unknown))]

    async def _fetch(self) -> None:
        # Unlike awaiting the task, this does not cancel it for the others if this request is cancelled.
        await asyncio.wait([self._task or self._begin()])

    def _begin(self) -> asyncio.Task[None]:
        self._tried_at = self._clock()
        self._task = asyncio.create_task(self._replace())
        self._task.add_done_callback(self._ended)
        return self._task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None

    async def _replace(self) -> None:
        """Fetch the keys. A failure keeps those that are there."""
        name = self.issuer.name
        try:
            keys = await fetch_keys(self.issuer)
        except (OSError, ValueError, RecursionError, httpx.HTTPError, httpx.InvalidURL) as error:
            metrics.ISSUER_FETCHES.labels(name, "failed").inc()
            trouble = str(error) or type(error).__name__
            if trouble != self._trouble:
                log.warning("Cannot fetch the keys of the issuer %s and keep the %d fetched before: %s", name, len(self._keys), trouble)
            self._trouble = trouble
            return
        metrics.ISSUER_FETCHES.labels(name, "fetched").inc()
        metrics.ISSUER_KEYS_FETCHED.labels(name).set_to_current_time()
        # An unchanged key stays the same object, by which cached tokens see that it is still published.
        keys = {id: old if (old := self._keys.get(id)) == key else key for id, key in keys.items()}
        if keys != self._keys or self._trouble:
            log.info("Fetched %d keys of the issuer %s.", len(keys), name)
        self._keys, self._fetched_at, self._trouble = keys, self._clock(), ""
