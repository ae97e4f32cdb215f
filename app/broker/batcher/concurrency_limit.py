"""The limit of outstanding deliveries of one model version."""

from __future__ import annotations

from typing import Final

_WEIGHT: Final = 0.1


class ConcurrencyLimit:
    """An adaptive limit. It learns from deliveries which share of their round trip is the run of the model.

    A delivery costs the worker milliseconds of its own. If the model takes a small part of that, one delivery at a time has a higher
    throughput than several, because it carries all jobs that arrived meanwhile. As the share of the run grows, every slot is used.
    Deliveries that wait behind others in the queue lower the share, so that API processes with the same workers leave room for each other.
    """

    __slots__ = ("_share",)

    def __init__(self) -> None:
        """Start with every slot in use."""
        self._share = 1.0

    def seen(self, run_s: float, way_s: float) -> None:
        """Record a delivery: its round trip took `way_s` seconds, of which the model ran for `run_s`."""
        share = min(1.0, run_s / way_s) if way_s > 0 else 1.0
        self._share += _WEIGHT * (share - self._share)

    def most(self, slots: int) -> int:
        """Return how many deliveries may be outstanding: between 1 and one more than there are slots."""
        return 1 + int(self._share * slots)
