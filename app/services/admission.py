"""Whether new work is accepted."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from app.broker.maintenance import Maintenance
from app.core.errors import StoreUnavailable, StoreUnfit
from app.loops import Loops
from app.settings import Settings
from app.store.redis import health
from app.store.redis.url import current_address

log = logging.getLogger(__name__)
_CHECK_INTERVAL_S: Final = 1.0


class Admission:
    """Accepts new work only if Redis passed its check and has memory left.

    Attributes:
        unfit: Why Redis cannot be used, or None if it can.
    """

    def __init__(self, settings: Settings, maintenance: Maintenance, loops: Loops) -> None:
        self.unfit: str | None = "Redis has not been checked yet."
        self._settings = settings
        self._maintenance = maintenance
        self._loops = loops

    def refusal(self) -> str:
        """Return why new work is refused at the moment, or an empty string.

        Raises:
            StoreUnavailable: Redis is unavailable or misconfigured.
        """
        if self.unfit is not None:
            raise StoreUnavailable(self.unfit)
        ratio, limit = self._maintenance.memory_ratio(), self._settings.max_memory_ratio
        if ratio <= limit:
            return ""
        return f"Redis uses {ratio:.0%} of its memory, which is above the limit of {limit:.0%}. Try again when jobs have ended."

    async def run(self) -> None:
        """Check Redis every second until it passes."""
        loop = self._loops.add("meet")
        while self.unfit is not None:
            await asyncio.sleep(_CHECK_INTERVAL_S)
            with loop.turn():
                try:
                    await self.check()
                except StoreUnfit as error:
                    if error.detail != self.unfit:
                        log.error("%s", error.detail)
                    self.unfit = error.detail
        self._loops.remove(loop.name)

    async def check(self) -> None:
        """Check Redis once. If it does not answer, the reason is kept in `unfit`.

        Raises:
            StoreUnfit: Redis is misconfigured and could lose jobs.
        """
        try:
            health.accept(await asyncio.to_thread(health.inspect, current_address(), self._settings))
            self.unfit = None
        except StoreUnavailable as error:
            self.unfit = error.detail
