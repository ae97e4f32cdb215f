"""Jobs of several owners share a delivery. One that is over its limit is refused alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import redis.asyncio

from app.broker.batcher.batcher import Batcher
from app.broker.eta import StartEstimate
from app.broker.fair_share import FairShare
from app.core.errors import RateLimited
from app.core.models import BatchLimits
from app.core.rate_limits import Charge, RateLimit
from app.core.tensors import Tensor, encode
from app.settings import settings
from app.store import keys
from tests.broker.batcher.test_batcher import MANIFEST, QUEUE

TWICE = RateLimit("owner", "requests_per_hour", 2)
PATIENT = replace(MANIFEST, batch=BatchLimits(max_wait_ms=60_000))
ROW = [Tensor("x", "FP64", (1, 1), encode([0.0], "FP64"))]


@pytest.fixture
async def pool(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as pool:
        yield pool


def batcher(pool: redis.asyncio.Redis) -> Batcher:
    return Batcher(pool, "api", settings(), lambda _: 1, lambda: "", StartEstimate(), lambda _: None, FairShare(settings(), lambda _: 1))


def charged(owner: str) -> Charge | None:
    return Charge(((TWICE, owner),), 1) if owner else None


async def test_recorded_jobs_over_their_limit_are_refused_alone(pool: redis.asyncio.Redis) -> None:
    batching = batcher(pool)
    owners = ["first", "a", "b", "a", "", "a", "b", "a"]
    waits = (batching.submit(PATIENT, ROW, ("predict",), 60, owner=owner or "default", charge=charged(owner)) for owner in owners)
    results = await asyncio.gather(*waits, return_exceptions=True)
    assert [isinstance(result, RateLimited) for result in results] == [False, False, False, False, False, True, False, True]
    messages: Any = await pool.lrange(keys.list_of(QUEUE), 0, -1)
    assert len(messages) == 2, "one of the first job, which waits for nobody, and one of all others"
    delivery: Any = await pool.hget(keys.delivery(json.loads(messages[0])["headers"]["id"]), "jobs")
    admitted = [result[0].job for result in results[1:] if isinstance(result, tuple)]
    assert delivery.decode().split() == admitted


async def test_an_admitted_job_learns_what_is_left_and_a_refused_one_does_not(pool: redis.asyncio.Redis) -> None:
    batching = batcher(pool)
    charges = [Charge(((TWICE, "a"),), 1) for _ in range(3)]
    for charge in charges[:2]:
        await batching.submit(MANIFEST, ROW, ("predict",), 60, owner="a", charge=charge)
    with pytest.raises(RateLimited) as refused:
        await batching.submit(MANIFEST, ROW, ("predict",), 60, owner="a", charge=charges[2])
    assert [[usage.remaining for usage in charge.usages] for charge in charges] == [[1], [0], []]
    assert refused.value.usage is not None
    assert refused.value.usage.subject == "a"


async def test_a_synchronous_prediction_over_the_limit_is_refused_at_once(pool: redis.asyncio.Redis) -> None:
    batching, manifest = batcher(pool), replace(MANIFEST, batch=BatchLimits(max_rows=3, max_wait_ms=60_000))
    tasks = [asyncio.create_task(batching.predict(manifest, ROW, ("predict",), 60, charged(owner))) for owner in ("b", "b", "a", "a", "a")]
    # Two deliveries may be under way. The others wait until they fill one.
    done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert [isinstance(task.exception(), RateLimited) for task in done] == [True]
    assert len(waiting) == 4
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
