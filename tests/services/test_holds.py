"""Responses are held until something happens, and never beyond a shutdown."""

from __future__ import annotations

import asyncio

from app.services.holds import Holds


async def test_a_hold_ends_when_its_block_does() -> None:
    holds, reached = Holds(), False
    async with holds.hold(600):
        reached = True
    assert reached


async def test_a_hold_ends_silently_after_its_seconds() -> None:
    never = asyncio.Event()
    async with asyncio.timeout(30), Holds().hold(0.01):
        await never.wait()
    assert not never.is_set()


async def test_a_shutdown_ends_every_open_hold() -> None:
    holds, never, open_holds = Holds(), asyncio.Event(), list[str]()

    async def held(name: str) -> str:
        async with holds.hold(600):
            open_holds.append(name)
            await never.wait()
        return name

    tasks = [asyncio.create_task(held(name)) for name in ("a", "b")]
    async with asyncio.timeout(30):
        while len(open_holds) < 2:  # noqa: ASYNC110 the tasks run in this loop
            await asyncio.sleep(0)
        holds.drain()
        assert await asyncio.gather(*tasks) == ["a", "b"]


async def test_after_a_shutdown_nothing_is_held() -> None:
    holds = Holds()
    holds.drain()
    async with asyncio.timeout(30), holds.hold(600):
        await asyncio.Event().wait()
    assert holds.draining
