"""A process that is asked to stop lingers while requests arrive, and not for ever."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from app.api.server.shutdown import LINGERS_AT_MOST, graceful_shutdown

LINGER_S = 0.2


@pytest.fixture
def server_told() -> Iterator[asyncio.Event]:
    """Set when the handler that a server has put in place is called."""
    reported = asyncio.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: reported.set())
    yield reported
    signal.signal(signal.SIGTERM, before)


async def end_of(asked_at: Callable[[], float], linger_s: float, reported: asyncio.Event, times: int = 1) -> tuple[float, list[str]]:
    """Seconds from the first signal to the server's end, and what was called before it."""
    called: list[str] = []
    with graceful_shutdown(lambda: called.append("leave"), lambda: called.append("drain"), asked_at, linger_s):
        began = time.monotonic()
        for _ in range(times):
            signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(reported.wait(), 30)
        return time.monotonic() - began, called


async def test_it_stops_when_nobody_has_asked_for_a_while(server_told: asyncio.Event) -> None:
    seconds, called = await end_of(lambda: 0.0, LINGER_S, server_told)
    assert (seconds >= LINGER_S, called) == (True, ["leave", "drain"])


async def test_it_stays_while_it_is_asked(server_told: asyncio.Event) -> None:
    last = time.monotonic() + LINGER_S
    seconds, _ = await end_of(lambda: last, LINGER_S, server_told)
    assert time.monotonic() >= last + LINGER_S
    assert seconds > LINGER_S


async def test_it_stops_in_the_end_though_it_is_asked_all_the_time(server_told: asyncio.Event) -> None:
    seconds, _ = await end_of(time.monotonic, LINGER_S, server_told)
    assert seconds >= LINGERS_AT_MOST * LINGER_S


async def test_a_second_signal_stops_it_at_once(server_told: asyncio.Event) -> None:
    assert await end_of(time.monotonic, 600.0, server_told, times=2)
