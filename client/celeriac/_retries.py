"""When a request is sent again: after which failure, and how much later."""

from __future__ import annotations

import random
import time
from typing import Final

import httpx
from celeriac._errors import Timeout, retry_after

_FIRST_S: Final = 0.25
_LONGEST_S: Final = 8.0
_STATUSES: Final = frozenset({408, 425, 429, 502, 503, 504})


class Deadline:
    """The time that one call may take, retries included."""

    def __init__(self, seconds: float | None) -> None:
        """Start the time. None means no limit."""
        self._end = None if seconds is None else time.monotonic() + seconds

    @property
    def limited(self) -> bool:
        """Whether it ends."""
        return self._end is not None

    def left(self) -> float:
        """Seconds that are left, at least 0; infinity without a limit."""
        return float("inf") if self._end is None else max(0.0, self._end - time.monotonic())

    def check(self, what: str, *, job_id: str | None = None) -> None:
        """Raises Timeout if no time is left."""
        if not self.left():
            raise Timeout(f"{what} did not finish in time.", job_id=job_id)


class Retries:
    """The pauses of one call: exponential with full jitter from 0.25 s to 8 s, or what the server asks for in `Retry-After`."""

    def __init__(self, deadline: Deadline, *, safe: bool, most: int | None = None) -> None:
        """Count the retries of one call.

        Args:
            deadline: no pause ends after it.
            safe: whether the server recognizes a repeated request.
            most: how often the request may be sent again; None means until the deadline.
        """
        self._deadline = deadline
        self._safe = safe
        self._most = most
        self._count = 0

    def after(self, failure: httpx.Response | httpx.TransportError) -> float | None:
        """Seconds to pause before the request is sent again, or None if it must not be."""
        if isinstance(failure, httpx.TransportError):
            # A request that never left can be repeated; one that may have arrived only if the server recognizes it.
            repeatable = self._safe or isinstance(failure, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            requested_s = None
        else:
            requested_s = retry_after(failure)
            # The server accepted nothing if it answered 429, or 503 with a time to come back.
            refused = failure.status_code == 429 or (failure.status_code == 503 and requested_s is not None)
            repeatable = failure.status_code in _STATUSES and (self._safe or refused)
        return self.pause(requested_s) if repeatable else None

    def pause(self, requested_s: float | None = None) -> float | None:
        """Seconds to pause, `requested_s` if the server named them, or None if the request must not be sent again."""
        if self._most is not None and self._count >= self._most:
            return None
        pause = requested_s if requested_s is not None else random.uniform(0, min(_LONGEST_S, _FIRST_S * 2**self._count))
        self._count += 1
        return pause if pause < self._deadline.left() else None
