"""Synchronous predictions have no record that ends, so the process that waits for them counts what they used."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
import redis.asyncio

from app.broker.batcher.batcher import Batcher
from app.broker.eta import StartEstimate
from app.broker.fair_share import FairShare
from app.core.deliveries import Delivery, Outcome
from app.core.metering import Amounts, Series, UsageCollector
from app.core.tensors import Tensor, encode
from app.settings import settings
from app.store import keys
from tests.broker.batcher.test_batcher import MANIFEST, QUEUE

ROW = [Tensor("x", "FP64", (1, 1), encode([1.0], "FP64"))]
ROWS = [Tensor("x", "FP64", (3, 1), encode([1.0, 2.0, 3.0], "FP64"))]


@pytest.fixture
def usage() -> UsageCollector:
    return UsageCollector()


def batching(client: redis.asyncio.Redis, usage: UsageCollector) -> Batcher:
    fair_share = FairShare(settings(), lambda _: 1)
    return Batcher(client, "api", settings(), lambda _: 1, lambda: "", StartEstimate(), lambda _: None, fair_share, usage=usage)


async def taken(client: redis.asyncio.Redis) -> Delivery:
    """The delivery that a worker takes from the queue."""
    message: Any = None
    while not message:
        message = await client.rpop(keys.list_of(QUEUE))
        await asyncio.sleep(0)
    [_, body], *_ = json.loads(base64.b64decode(json.loads(message)["body"]))
    return Delivery.unpack(base64.b64decode(body))


def of(owner: str) -> Series:
    return Series(MANIFEST.pool, MANIFEST.name, owner)


def answer(batcher: Batcher, delivery: Delivery, run_s: float) -> None:
    batcher.finish(delivery.id, [Outcome(job, [], run_s=run_s) for job in delivery.jobs], frozenset())


async def test_the_owners_of_a_delivery_share_its_run(redis_url: str, usage: UsageCollector) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as client, asyncio.timeout(30):
        batcher = batching(client, usage)
        requests = [(ROW, "a"), (ROW, "a"), (ROWS, "b")] * 4
        waiting = [asyncio.create_task(batcher.predict(MANIFEST, rows, ("predict",), 60, owner=owner)) for rows, owner in requests]
        while not all(task.done() for task in waiting):
            delivery = await taken(client)
            # A second for each row, whichever requests have joined.
            answer(batcher, delivery, float(sum(delivery.rows)))
            await asyncio.sleep(0)
    used = usage.take()
    assert [(used[of(owner)].jobs, used[of(owner)].rows) for owner in "ab"] == [(8, 8), (4, 12)]
    assert [used[of(owner)].run_s for owner in "ab"] == pytest.approx([8.0, 12.0])


async def test_a_caller_who_has_left_is_charged(redis_url: str, usage: UsageCollector) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as client, asyncio.timeout(30):
        batcher = batching(client, usage)
        leaving = asyncio.create_task(batcher.predict(MANIFEST, ROW, ("predict",), 60, owner="a"))
        delivery = await taken(client)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        answer(batcher, delivery, 2.0)
    assert usage.take() == {of("a"): Amounts(1, 1, 2.0)}
