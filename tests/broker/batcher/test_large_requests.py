"""A large synchronous request leaves its inputs beside its message, for as long as its caller may wait."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import redis
import redis.asyncio

from app.broker import names
from app.broker.batcher.batcher import Batcher
from app.broker.eta import StartEstimate
from app.broker.fair_share import FairShare
from app.core.models import Manifest, TensorSpec
from app.core.tensors import Tensor, encode
from app.settings import settings
from app.store import deliveries, keys
from app.store.stats import SeriesIndex
from app.worker import requeue
from app.worker.claim import claim
from app.worker.models import Models
from app.worker.pool_process import PoolProcess

MANIFEST = Manifest("echo", "1", "joblib", "model.joblib", "", (TensorSpec("x", "FP64", (-1, 1)),), (TensorSpec("predict", "FP64", (-1,)),))
QUEUE = names.interactive(MANIFEST.pool)
LARGE, SMALL = 5000, 5


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as found:
        yield found


async def sent(url: str, rows: int) -> tuple[str, str]:
    """The arguments of the message of a request: the ID of the delivery, and its body."""
    async with redis.asyncio.Redis.from_url(url) as pool:
        fair_share = FairShare(settings(), lambda _: 1)
        batcher = Batcher(
            pool, "api", settings(), lambda _: 1, lambda: "", StartEstimate(), lambda _: None, fair_share, SeriesIndex(pool, 1)
        )
        inputs = [Tensor("x", "FP64", (rows, 1), encode([float(row) for row in range(rows)], "FP64"))]
        asked = asyncio.create_task(batcher.predict(MANIFEST, inputs, ("predict",), 20))
        popped: Any = await pool.brpop([keys.list_of(QUEUE)], timeout=30)
        asked.cancel()
        await asyncio.gather(asked, *batcher._tasks, return_exceptions=True)
    return arguments(popped[1])


def arguments(message: Any) -> tuple[str, str]:
    [id, body], _, _ = json.loads(base64.b64decode(json.loads(message)["body"]))
    return id, body


def claimed(client: redis.Redis, id: str, body: str) -> Any:
    request = SimpleNamespace(delivery_info={"routing_key": QUEUE}, timelimit=[1, 30.0])
    return claim(PoolProcess(Models(settings()), {}, client=client), request, id, body)


async def test_a_small_request_is_in_its_message(client: redis.Redis, redis_url: str) -> None:
    id, body = await sent(redis_url, SMALL)
    assert (bool(body), client.exists(keys.delivery(id))) == (True, 0)
    assert claimed(client, id, body).delivery.rows == (SMALL,)


async def test_a_large_request_is_beside_its_message_until_it_has_ended(client: redis.Redis, redis_url: str) -> None:
    id, body = await sent(redis_url, LARGE)
    assert body == ""
    assert 20 < client.ttl(keys.delivery(id)) <= 81
    found = claimed(client, id, body)
    assert found.delivery.inputs[0].data[-8:] == encode([LARGE - 1.0], "FP64")
    found.release(client)
    assert client.exists(keys.delivery(id)) == 0


async def test_nothing_is_run_of_a_large_request_that_has_ended(client: redis.Redis, redis_url: str) -> None:
    id, body = await sent(redis_url, LARGE)
    client.delete(keys.delivery(id))
    assert claimed(client, id, body) is None
    for answer in (requeue.requeue_lost, requeue.release_on_shutdown, requeue.fail_timed_out):
        answer(client, QUEUE, id, body, 30.0)
    assert client.llen(keys.list_of(QUEUE)) == 0


@pytest.mark.parametrize(("answer", "tried"), [(requeue.requeue_lost, 1), (requeue.release_on_shutdown, 0)], ids=["died", "shut down"])
async def test_a_large_request_whose_process_has_gone_is_sent_again(client: redis.Redis, redis_url: str, answer: Any, tried: int) -> None:
    id, body = await sent(redis_url, LARGE)
    answer(client, QUEUE, id, body, 30.0)
    again = claimed(client, *arguments(client.rpop(keys.list_of(QUEUE))))
    assert (again.delivery.rows, again.delivery.tried, again.attempts) == ((LARGE,), tried, [tried + 1])
    assert deliveries.read_body(client, id) is not None
