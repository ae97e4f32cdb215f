"""Responses are held until something happens, and never beyond a shutdown."""

from __future__ import annotations

import asyncio

import pytest

from app.services.holds import Holds


async def test_a_wait_ends_when_it_happens() -> None:
    happened = asyncio.Event()
    happened.set()
    assert await Holds().wait(happened.wait(), 600)


async def test_a_wait_ends_silently_after_its_seconds() -> None:
    async with asyncio.timeout(30):
        assert not await Holds().wait(asyncio.Event().wait(), 0.01)


async def test_a_wait_that_fails_reports_why() -> None:
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    failed.set_exception(TimeoutError("of its own"))
    with pytest.raises(TimeoutError, match="of its own"):
        await Holds().wait(failed, 600)


async def test_a_shutdown_ends_every_open_wait() -> None:
    holds = Holds()
    tasks = [asyncio.create_task(holds.wait(asyncio.Event().wait(), 600)) for _ in range(2)]
    async with asyncio.timeout(30):
        await asyncio.sleep(0)
        holds.drain()
        assert await asyncio.gather(*tasks) == [False, False]


async def test_a_shutdown_while_a_wait_expires_does_no_harm() -> None:
    holds = Holds()
    task = asyncio.create_task(holds.wait(asyncio.Event().wait(), 0))
    async with asyncio.timeout(30):
        # Two turns of the loop: the wait begins, and its timeout cancels it. It ends in the third.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        holds.drain()
        assert not await task


async def test_after_a_shutdown_nothing_is_held() -> None:
    holds = Holds()
    holds.drain()
    async with asyncio.timeout(30):
        assert not await holds.wait(asyncio.Event().wait(), 600)
    assert holds.draining
