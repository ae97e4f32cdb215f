"""At most one process holds a lease."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from app.store import keys
from app.store.leases import Lease
from tests.clocks import Clock


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


def leases(client: redis.asyncio.Redis, clock: Clock) -> tuple[Lease, Lease]:
    return Lease(client, keys.MAINTENANCE, b"one", 60, clock), Lease(client, keys.MAINTENANCE, b"other", 60, clock)


async def test_the_first_process_holds_the_lease(client: redis.asyncio.Redis, clock: Clock) -> None:
    one, other = leases(client, clock)
    assert [await one.hold(), await other.hold(), await one.hold()] == [True, False, True]


async def test_the_holder_extends_it_after_half_of_its_time(client: redis.asyncio.Redis, clock: Clock) -> None:
    one, _ = leases(client, clock)
    await one.hold()
    await client.expire(keys.MAINTENANCE, 5)
    clock.now += 29
    assert await one.hold()
    assert await client.ttl(keys.MAINTENANCE) <= 5
    clock.now += 1
    assert await one.hold()
    assert await client.ttl(keys.MAINTENANCE) > 50


async def test_another_process_takes_a_lease_that_has_ended(client: redis.asyncio.Redis, clock: Clock) -> None:
    one, other = leases(client, clock)
    await one.hold()
    await client.delete(keys.MAINTENANCE)
    assert await other.hold()
    clock.now += 60
    assert not await one.hold()


async def test_a_lease_that_redis_lost_has_one_holder_in_the_end(client: redis.asyncio.Redis, clock: Clock) -> None:
    one, other = leases(client, clock)
    await one.hold()
    await client.delete(keys.MAINTENANCE)
    await other.hold()
    clock.now += 30
    assert [await one.hold(), await other.hold()] == [False, False]
    await client.delete(keys.MAINTENANCE)
    assert [await one.hold(), await other.hold()] == [True, False]
