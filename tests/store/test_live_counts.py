"""Counts of live rows in Redis: added up, read by window, and bounded."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import redis.asyncio

from app.core.models import Manifest, TensorSpec
from app.core.profiles import WINDOWS, ColumnProfile, Profile
from app.store import keys, live_counts, scripts

SPEC = TensorSpec("x", "FP64", (-1,))
COLUMN = ColumnProfile("x", 0, "x", 0, counts=(5,), edges=(0.0, 1.0))
MANIFEST = Manifest("m", "1", "onnx", "model.onnx", "0" * 64, (SPEC,), (SPEC,), profile=Profile((COLUMN,), ()))
NOTHING = [0, 0, 0, 0]


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield client


async def record(client: redis.asyncio.Redis, lanes: list[int], manifest: Manifest = MANIFEST, most: int = 2) -> bool:
    return bool(await scripts.run_async(client, live_counts.record(manifest, lanes, most)))


async def test_counts_of_several_processes_are_added_in_every_window(client: redis.asyncio.Redis) -> None:
    assert await record(client, [1, 0, 2, 0])
    assert await record(client, [0, 0, 2, 4_000_000_000])
    windows = await live_counts.read(client, MANIFEST, time.time())
    assert windows == [([1, 0, 4, 4_000_000_000], NOTHING)] * len(WINDOWS)


async def test_counts_move_to_the_window_before_and_out_of_it(client: redis.asyncio.Redis) -> None:
    await record(client, [0, 0, 7, 0])
    for place, window in enumerate(WINDOWS):
        length = window.bucket_s * window.buckets
        later = [(await live_counts.read(client, MANIFEST, time.time() + windows * length))[place] for windows in (1, 2)]
        assert later == [(NOTHING, [0, 0, 7, 0]), (NOTHING, NOTHING)]


async def test_as_many_lanes_as_a_profile_has_are_counted(client: redis.asyncio.Redis) -> None:
    columns = tuple(replace(COLUMN, at=at, edges=tuple(map(float, range(21))), counts=(5,) * 20) for at in range(100))
    wide = replace(MANIFEST, profile=Profile(columns, ()))
    lanes = list(range(2300))
    assert await record(client, lanes, wide)
    assert (await live_counts.read(client, wide, time.time()))[0][0] == lanes


async def test_more_versions_than_allowed_are_not_counted_until_one_has_expired(client: redis.asyncio.Redis) -> None:
    versions = [replace(MANIFEST, version=str(number)) for number in (1, 2, 3)]
    assert [await record(client, [1, 1, 1, 1], version) for version in versions] == [True, True, False]
    assert await live_counts.count(client) == 2
    first: Any = (await client.zrange(keys.LIVE_COUNTS, 0, 0))[0]
    await client.zadd(keys.LIVE_COUNTS, {first: time.time() - WINDOWS[-1].kept_s - 1})
    assert await record(client, [1, 1, 1, 1], versions[2])


async def test_every_bucket_expires(client: redis.asyncio.Redis) -> None:
    await record(client, [1, 0, 0, 0])
    stored = [key async for key in client.scan_iter(keys.live_counts("[0-9]*"))]
    assert sorted([await client.ttl(key) for key in stored]) == [pytest.approx(window.kept_s, abs=30) for window in WINDOWS]
