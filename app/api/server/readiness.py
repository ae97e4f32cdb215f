"""Whether a process should receive requests."""

from __future__ import annotations

import redis.asyncio
from redis.exceptions import RedisError

from app.loops import Loops
from app.services.admission import Admission
from app.store.redis.ping import ping_over


class Readiness:
    """The readiness of one process.

    Attributes:
        leaving: Whether the process is about to stop. It serves every request, and asks not to receive more.
    """

    def __init__(self, client: redis.asyncio.Redis, admission: Admission, loops: Loops) -> None:
        self.leaving = False
        self._client = client
        self._admission = admission
        self._loops = loops

    async def obstacle(self) -> str:
        """Return why this process should receive no requests, or an empty string."""
        if self.leaving:
            return "The process is shutting down."
        try:
            await ping_over(self._client)
        except (RedisError, OSError) as error:
            return f"Redis does not answer: {error}"
        return self._admission.unfit or self._loops.stalled()
