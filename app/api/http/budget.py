"""The memory that bodies of requests may take in one API process, all connections together."""

from __future__ import annotations

from typing import Final

from starlette.types import Scope

from app import metrics
from app.core.errors import Overloaded

FREE_BYTES: Final = 64 << 10
"""The first bytes of each body, which are not counted: large bodies must not keep small ones out. Connections have a bound of their own."""
_KEY: Final = "celeriac.held"


class Budget:
    """Bytes of bodies that this process may hold. Refuses what goes beyond `limit`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    def take(self, size: int) -> None:
        """Raises Overloaded if less than `size` is left."""
        if self._held + size > self._limit:
            raise Overloaded(
                f"The server holds {self._held} bytes of bodies; with this one they would exceed its limit of {self._limit} bytes. Try again.",
                retry_after_s=1,
            )
        self._held += size
        metrics.BODY_BYTES.inc(size)

    def give(self, size: int) -> None:
        self._held -= size
        metrics.BODY_BYTES.dec(size)


class Held:
    """What one body has taken of a budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size = 0

    def grow(self, total: int) -> None:
        """Take what a body of `total` bytes needs. Raises Overloaded."""
        size = total - FREE_BYTES
        if size > self._size:
            self._budget.take(size - self._size)
            self._size = size

    def give_back(self) -> None:
        self._budget.give(self._size)
        self._size = 0


def held(scope: Scope, budget: Budget) -> Held:
    """What the body of this request holds, until `release`."""
    found: Held | None = scope.get(_KEY)
    if found is None:
        found = scope[_KEY] = Held(budget)
    return found


def release(scope: Scope) -> None:
    """Give back what the body of this request held."""
    found = scope.get(_KEY)
    if found is not None:
        found.give_back()
