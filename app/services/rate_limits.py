"""Rate limits of a request: those of its owner, and those of its API key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from app.core import callers
from app.core.api_keys import Caller
from app.core.rate_limits import NAMES, Charge, of_owner
from app.settings import Settings

_CHARGES: Final[ContextVar[list[Charge] | None]] = ContextVar("charges", default=None)


class RateLimits:
    """The rate limits of the platform. Redis counts them when it admits a job."""

    def __init__(self, settings: Settings) -> None:
        self._of_owner = of_owner({name: getattr(settings, f"limit_{name}") for name in NAMES})

    def limits(self, caller: Caller | None) -> bool:
        """Return whether any limit holds for a caller."""
        return bool(self._of_owner or (caller is not None and caller.limits))

    def charge(self, rows: int = 0) -> Charge | None:
        """Return what a request of the current caller takes from limits, or None if no limit holds for it.

        Args:
            rows: Rows of the request. A pipeline run and a training count as a request without rows.

        Raises:
            PayloadTooLarge: The request has more rows than a limit ever allows at once.
        """
        caller = callers.CALLER.get()
        if not self.limits(caller):
            return None
        owner = callers.owner()
        limits = [(limit, owner) for limit in self._of_owner]
        if caller is not None:
            limits += [(limit, caller.id) for limit in caller.limits]
        charge = Charge(tuple(limits), rows)
        charge.check()
        charges = _CHARGES.get()
        if charges is not None:
            charges.append(charge)
        return charge


@contextmanager
def noting() -> Iterator[list[Charge]]:
    """Collect the charges of the block."""
    charges: list[Charge] = []
    token = _CHARGES.set(charges)
    try:
        yield charges
    finally:
        _CHARGES.reset(token)
