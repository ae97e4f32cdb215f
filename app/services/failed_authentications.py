"""Failed authentications per client address, so that guessing keys costs Redis and the logs nothing.

A key cannot be guessed: its secret has 190 random bits. What an address could do is to make every process ask Redis about IDs that it makes
up. An address above the limit gets 429 for further invalid keys. Valid keys from the same address are accepted, because many clients share
the address of a proxy or a NAT gateway.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network
from typing import Final

from app import metrics
from app.core.errors import CeleriacError, TooManyFailures

_WINDOW_S: Final = 60.0
_IPV6_PREFIX: Final = 64
"""Bits of an IPv6 address that name a network. One client has all addresses of it."""


@dataclass(slots=True)
class _Window:
    began_at: float
    failures: int = 0


class FailedAuthentications:
    """Counts of one process, in memory: a minute per address from its first failure on.

    Args:
        per_minute: Failures of an address before it gets 429. 0 turns the limit off.
        most: Addresses that are remembered. The ones whose minute began first are forgotten first.
        clock: Returns seconds that never go back.
    """

    def __init__(self, per_minute: int, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._most = most
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    def exceeded(self, address: str) -> bool:
        """Return whether an address has reached the limit in its minute."""
        window = self._windows.get(_network(address)) if self._windows else None
        return window is not None and window.failures >= self._per_minute and self._clock() - window.began_at < _WINDOW_S

    def failed(self, address: str, error: CeleriacError) -> CeleriacError:
        """Count a failure. Return its error, or TooManyFailures if the address had reached the limit before it."""
        if not self._per_minute:
            return error
        now, network = self._clock(), _network(address)
        window = self._windows.get(network)
        if window is None or now - window.began_at >= _WINDOW_S:
            window = self._begin(network, now)
        if window.failures < self._per_minute:
            window.failures += 1
            return error
        wait_s = math.ceil(window.began_at + _WINDOW_S - now)
        return TooManyFailures(
            f"More than {self._per_minute} requests from this address had an invalid API key or token within a minute. "
            f"Check it, and try again in {wait_s} s. Requests with a valid one are accepted meanwhile.",
            retry_after_s=wait_s,
        )

    def forget(self) -> None:
        """Forget the addresses whose minute is over."""
        now = self._clock()
        # The oldest minutes are first.
        while self._windows and now - next(iter(self._windows.values())).began_at >= _WINDOW_S:
            self._drop_oldest()

    def _begin(self, network: str, now: float) -> _Window:
        if self._windows.pop(network, None) is None:
            metrics.FAILING_ADDRESSES.inc()
        window = self._windows[network] = _Window(now)
        while len(self._windows) > self._most:
            self._drop_oldest()
        return window

    def _drop_oldest(self) -> None:
        del self._windows[next(iter(self._windows))]
        metrics.FAILING_ADDRESSES.dec()


@lru_cache(maxsize=4096)
def _network(address: str) -> str:
    """Return what one client has: an IPv4 address, or a network of IPv6 addresses."""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped
    return str(mapped) if mapped else str(IPv6Network((int(parsed), _IPV6_PREFIX), strict=False))
