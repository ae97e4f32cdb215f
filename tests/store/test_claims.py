"""A process claims what is due, and learns when the next member is."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from app.store import keys
from app.store.claims import claim


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as made:
        yield made


async def test_nothing_is_due_in_an_empty_set(client: redis.asyncio.Redis) -> None:
    assert await claim(client, keys.EVENTS, 60, 10) == ([], math.inf)


async def test_the_next_member_is_due_at_its_time(client: redis.asyncio.Redis) -> None:
    await client.zadd(keys.EVENTS, {"later": time.time() + 1000})
    claimed = await claim(client, keys.EVENTS, 60, 10)
    assert claimed.members == []
    assert claimed.next_s == pytest.approx(1000, abs=60)


async def test_more_than_can_be_claimed_at_once_is_due_now(client: redis.asyncio.Redis) -> None:
    await client.zadd(keys.EVENTS, {"first": 1, "second": 2})
    claimed = await claim(client, keys.EVENTS, 60, 1)
    assert claimed.members == [b"first"]
    assert claimed.next_s < 0


async def test_what_is_claimed_is_due_when_the_claim_ends(client: redis.asyncio.Redis) -> None:
    await client.zadd(keys.EVENTS, {"only": 1})
    assert (await claim(client, keys.EVENTS, 1000, 10)).next_s == pytest.approx(1000, abs=60)
