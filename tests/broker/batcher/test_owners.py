"""Jobs of several owners may share a delivery. What the model says about all of them together is shown to none of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import redis
import redis.asyncio
from celeriac import progress
from sklearn.base import BaseEstimator

from app.broker.batcher.batcher import Batcher
from app.broker.eta import StartEstimate
from app.broker.fair_share import FairShare
from app.core.models import PYTHON
from app.core.tensors import Tensor, encode
from app.runtime.model import Model
from app.settings import settings
from app.store import jobs, keys, scripts
from app.worker import requeue, tasks
from app.worker.claim import Claim
from app.worker.models import Models
from app.worker.pool_process import PoolProcess
from tests.broker.batcher.test_batcher import LIMIT_S, MANIFEST, QUEUE

pytestmark = pytest.mark.slow

TALKING = replace(MANIFEST, format=PYTHON)


class Talking(BaseEstimator):  # type: ignore[misc]
    """Prints and reports what it gets, and fails where a value is negative."""

    def predict(self, data: Any) -> Any:
        print("rows", [int(value) for [value] in data])
        progress(0.5, f"{len(data)} rows")
        if (data < 0).any():
            raise ValueError(f"a negative value in {data.ravel().tolist()}")
        return np.asarray(data)[:, 0]


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def pool(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as pool:
        yield pool


async def ended(client: redis.Redis, pool: redis.asyncio.Redis, *submitted: tuple[str, float]) -> list[Any]:
    """The jobs of owners with their values, after a worker has run their deliveries: the first alone, the others together."""
    batcher = Batcher(pool, "api", settings(), lambda _: 1, lambda: "", StartEstimate(), lambda _: None, FairShare(settings(), lambda _: 1))
    inputs = [[Tensor("x", "FP64", (1, 1), encode([value], "FP64"))] for _, value in submitted]
    owners = [owner for owner, _ in submitted]
    made = await asyncio.gather(
        *(batcher.submit(TALKING, rows, ("predict",), 60, owner=owner) for rows, owner in zip(inputs, owners, strict=True))
    )
    models = Models(settings())
    models.loaded[TALKING.key] = Model(TALKING, Talking())
    process = PoolProcess(models, {}, client=client)
    while message := client.rpop(keys.list_of(QUEUE)):
        assert isinstance(message, bytes)
        packed, now, *attempts = scripts.run(
            client, scripts.start(QUEUE, json.loads(message)["headers"]["id"], "worker", keep=60, silent_s=0)
        )
        tasks.execute(process, Claim(QUEUE, requeue.read_delivery(packed)[0], attempts, float(now), LIMIT_S))
    return [await jobs.read(pool, item.job) for item, _ in made]


def shown(job: Any) -> tuple[str, str]:
    return job.logs, job.progress.text


async def test_jobs_of_one_owner_share_the_log_of_their_call(client: redis.Redis, pool: redis.asyncio.Redis) -> None:
    first, *others = await ended(client, pool, ("a", 1), ("a", 2), ("a", 3))
    assert shown(first) == ("rows [1]\n", "1 rows")
    assert [shown(job) for job in others] == [("rows [2, 3]\n", "2 rows")] * 2


async def test_jobs_of_several_owners_have_no_log_of_their_call(client: redis.Redis, pool: redis.asyncio.Redis) -> None:
    first, *others = await ended(client, pool, ("a", 1), ("a", 2), ("b", 3))
    assert shown(first) == ("rows [1]\n", "1 rows")
    assert [(job.owner, *shown(job)) for job in others] == [("a", "", ""), ("b", "", "")]


async def test_a_failed_call_is_repeated_for_each_owner_alone(client: redis.Redis, pool: redis.asyncio.Redis) -> None:
    _, good, bad = await ended(client, pool, ("a", 1), ("a", 2), ("b", -3))
    assert (good.state, good.logs, bad.state, bad.logs) == ("succeeded", "rows [2]\n", "failed", "rows [-3]\n")
    assert "2.0" not in str(bad.error)
    assert "2.0" not in str(client.hget(keys.dead(bad.id), "traceback"))
