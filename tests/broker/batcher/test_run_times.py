"""Synchronous predictions have no record that ends, so the process that waits for them counts their run seconds."""

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
from app.core.run_times import RunTimes
from app.core.tensors import Tensor, encode
from app.settings import settings
from app.store import keys
from tests.broker.batcher.test_batcher import MANIFEST, QUEUE

ROW = [Tensor("x", "FP64", (1, 1), encode([1.0], "FP64"))]
ROWS = [Tensor("x", "FP64", (3, 1), encode([1.0, 2.0, 3.0], "FP64"))]


@pytest.fixture
def run_times() -> RunTimes:
    return RunTimes()


def batching(client: redis.asyncio.Redis, run_times: RunTimes) -> Batcher:
    fair_share = FairShare(settings(), lambda _: 1)
    return Batcher(client, "api", settings(), lambda _: 1, lambda: "", StartEstimate(), lambda _: None, fair_share, run_times=run_times)


async def taken(client: redis.asyncio.Redis) -> Delivery:
    """The delivery that a worker takes from the queue."""
    message: Any = None
    while not message:
        message = await client.rpop(keys.list_of(QUEUE))
        await asyncio.sleep(0)
    [_, body], *_ = json.loads(base64.b64decode(json.loads(message)["body"]))
    return Delivery.unpack(base64.b64decode(body))


def answer(batcher: Batcher, delivery: Delivery, run_s: float) -> None:
    batcher.finish(delivery.id, [Outcome(job, [], run_s=run_s) for job in delivery.jobs], frozenset())


async def test_the_owners_of_a_delivery_share_its_run(redis_url: str, run_times: RunTimes) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as client, asyncio.timeout(30):
        batcher = batching(client, run_times)
        requests = [(ROW, "a"), (ROW, "a"), (ROWS, "b")] * 4
        waiting = [asyncio.create_task(batcher.predict(MANIFEST, rows, ("predict",), 60, owner=owner)) for rows, owner in requests]
        while not all(task.done() for task in waiting):
            delivery = await taken(client)
            # A second for each row, whichever requests have joined.
            answer(batcher, delivery, float(sum(delivery.rows)))
            await asyncio.sleep(0)
    assert run_times.take() == pytest.approx({"a": 8.0, "b": 12.0})


async def test_a_caller_who_has_left_is_charged(redis_url: str, run_times: RunTimes) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as client, asyncio.timeout(30):
        batcher = batching(client, run_times)
        leaving = asyncio.create_task(batcher.predict(MANIFEST, ROW, ("predict",), 60, owner="a"))
        delivery = await taken(client)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        answer(batcher, delivery, 2.0)
    assert run_times.take() == {"a": 2.0}
