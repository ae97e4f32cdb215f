"""Fair share: what a delivery costs its owners, and how many deliveries a queue has before others wait in its backlog."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from app.broker import names
from app.core.errors import QueueFull
from app.settings import Settings, weights
from app.store import backlog

_UNLIMITED: Final = 1_000_000_000


class FairShare:
    """The fair share of one API process. Without authentication there is one owner, and no delivery waits in a backlog."""

    def __init__(self, settings: Settings, slots: Callable[[str], int]) -> None:
        """`slots(pool)` returns how many predictions a pool runs at once."""
        self._slots = slots
        self._ahead = settings.queue_ahead if settings.auth != "none" else math.inf
        self._weights = weights(settings.owner_weights)

    def shares(self, rows: Iterable[tuple[str, int]]) -> bytes:
        """Return the encoded shares of a delivery, or nothing without authentication.

        Args:
            rows: Owner and rows of each job of the delivery.
        """
        if not math.isfinite(self._ahead):
            return b""
        costs: defaultdict[str, float] = defaultdict(float)
        for owner, count in rows:
            costs[owner] += count / self._weights.get(owner, 1.0)
        return backlog.encode(costs)

    def target(self, queue: str) -> int:
        """Return the length of a queue above which deliveries wait in the backlog, at least 1."""
        ahead = self._ahead * self._slots(names.pool_of(queue))
        return max(1, int(ahead)) if math.isfinite(ahead) else _UNLIMITED


def model_full(model: str, waiting: int) -> QueueFull:
    """Return the error of a submission for a paused model that has its limit of deliveries."""
    return QueueFull(f"Model {model!r} is paused, and {waiting} deliveries wait for it, which is the limit. Try again when it is resumed.")


def queue_full(queue: str, waiting: int, limit: int) -> QueueFull:
    """Return the error of a submission that the queue does not take."""
    kept = "" if waiting >= limit else " for this owner, because its last tenth is kept for other owners"
    return QueueFull(
        f"The queue of the pool {names.pool_of(queue)!r} is full{kept}. It holds {waiting} of {limit} deliveries. Try again later."
    )
