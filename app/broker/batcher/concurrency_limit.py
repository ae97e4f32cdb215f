"""How many deliveries of one model version are worth having under way at once."""

from __future__ import annotations

from typing import Final

_WEIGHT: Final = 0.1


class ConcurrencyLimit:
    """Learns from deliveries which share of their way is the run of the model.

    A delivery costs the worker milliseconds of its own. Where the model takes a small part of that, one delivery at a time
    answers more than several: it carries all that gathered meanwhile. As the share of the run grows, every slot is worth
    feeding. Deliveries that stand behind others in the queue lower the share, so that API processes which feed the same
    workers leave room for each other.
    """

    __slots__ = ("_share",)

    def __init__(self) -> None:
        self._share = 1.0

    def seen(self, run_s: float, way_s: float) -> None:
        """A delivery came back `way_s` after it was sent, and ran for `run_s` of that."""
        share = min(1.0, run_s / way_s) if way_s > 0 else 1.0
        self._share += _WEIGHT * (share - self._share)

    def most(self, slots: int) -> int:
        """Deliveries at once, between 1 and one more than there are slots."""
        return 1 + int(self._share * slots)
