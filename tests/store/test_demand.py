"""What waits and runs, by model: read from a sample of each queue, however long the queue is."""

from __future__ import annotations

import time

import pytest
import redis.asyncio

from app.broker.celery import app
from app.broker.envelope import envelope
from app.core.deliveries import Delivery
from app.store import demand, keys, scripts
from app.store.demand import SAMPLE, QueueDemand
from tests.store.conftest import QUEUE, Store


def message(model: str, jobs: int = 1, work: str = "", at: float = 0.0) -> bytes:
    ids = tuple(f"job-{number}" for number in range(jobs))
    delivery = Delivery("1", model, "1", (), "", True, ids, (1,) * jobs, [], work=work)
    return envelope(app, "celeriac.predict", "1", ("1", "x" * 1000), QUEUE, time_limit_s=1, enqueued_at=at, shown=delivery)


async def read(store: Store) -> QueueDemand:
    async with redis.asyncio.Redis.from_url(store.url) as client:
        [found] = await demand.read(client, [QUEUE])
    return found


async def test_jobs_count_by_model_and_kind(store: Store) -> None:
    store.client.lpush(keys.list_of(QUEUE), message("fast", 3), message("fast", 12), message("slow"), message("report", work="chunk"))
    found = await read(store)
    assert found.jobs == {("", "fast"): 15, ("", "slow"): 1, ("chunk", "report"): 1}
    assert found.waiting == 4


async def test_a_long_queue_counts_as_its_sample(store: Store) -> None:
    store.client.lpush(keys.list_of(QUEUE), *[message("fast", 2), message("slow")] * (10 * SAMPLE))
    found = await read(store)
    assert found.waiting == 20 * SAMPLE
    fast, slow = found.jobs["", "fast"] / 2, found.jobs["", "slow"]
    assert fast + slow == pytest.approx(20 * SAMPLE)
    assert fast > 0
    assert slow > 0


async def test_the_backlog_counts_with_its_own_sample(store: Store) -> None:
    store.client.lpush(keys.list_of(QUEUE), message("fast"))
    store.client.hset(keys.backlog(QUEUE), mapping={str(number): message("slow") for number in range(3 * SAMPLE)})
    found = await read(store)
    assert found.jobs == {("", "fast"): 1, ("", "slow"): pytest.approx(3 * SAMPLE)}
    assert found.waiting == 1 + 3 * SAMPLE


async def test_the_oldest_message_says_since_when_jobs_wait(store: Store) -> None:
    assert (await read(store)).oldest_at is None
    store.client.lpush(keys.list_of(QUEUE), message("m", at=1000.5), message("m", at=2000.0))
    assert (await read(store)).oldest_at == 1000.5


async def test_what_runs_has_its_begin_and_its_model(store: Store) -> None:
    delivery = store.submit(model="slow")
    before = time.time()
    scripts.run(store.client, scripts.start(QUEUE, delivery.id, "host/1", keep=60, silent_s=10))
    [(model, began)] = (await read(store)).running
    assert model == "slow"
    assert before - 1 <= began <= time.time() + 1


async def test_a_message_of_another_program_counts_without_a_model(store: Store) -> None:
    store.client.lpush(keys.list_of(QUEUE), b"not json")
    found = await read(store)
    assert (found.jobs, found.oldest_at) == ({("", ""): 1}, None)
