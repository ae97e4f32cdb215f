"""What has parts is looked at when a part of it ends, whichever process dies meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from app.broker import submission
from app.broker.reconciler import Reconcile, Reconciler
from app.broker.replies import Replies
from app.core.handlers import TaskSpec
from app.core.jobs import State
from app.settings import Settings, settings
from app.store import jobs, keys, parents, scripts
from app.store.jobs import read
from app.store.quarantine import Quarantine

QUEUE = "default.bulk"


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as found:
        yield found


def reconciles(client: redis.asyncio.Redis, batch: Reconcile) -> Reconciler:
    return Reconciler(client, Replies(client, "api", lambda *_: None), Quarantine(client, Settings()), {"batch": batch})


async def submit(client: redis.asyncio.Redis, id: str = "b1-0", parent: str = "batch:b1") -> tuple[str, bool]:
    return await submission.submit(
        client, settings(), submission.Submission("chunk", {"from": 0}, QUEUE, id=id, parent=parent, subject=("wine", "1"))
    )


async def test_a_part_is_a_job_of_its_kind_that_is_listed_with_its_parent_alone(client: redis.asyncio.Redis) -> None:
    assert await submit(client) == ("b1-0", True)
    job = await read(client, "b1-0")
    assert job is not None
    assert (job.work, job.parent, job.state) == ("chunk", "batch:b1", State.QUEUED)
    assert await jobs.page(client, None, 10) == ([], None)


async def test_the_same_part_is_submitted_once(client: redis.asyncio.Redis) -> None:
    await submit(client)
    assert await submit(client) == ("b1-0", False)
    assert await client.llen(keys.list_of(QUEUE)) == 1


async def test_a_parent_is_due_when_a_part_of_it_ends(client: redis.asyncio.Redis) -> None:
    seen: list[str] = []
    reconciling = reconciles(client, lambda id: _noted(seen, id))
    await submit(client)
    assert await reconciling.round() == 0
    await scripts.run_async(client, scripts.end_job("b1-0", State.CANCELLED, keep=60))
    assert await reconciling.round() == 1
    assert seen == ["b1"]
    assert await client.zcard(keys.RECONCILE) == 0


async def test_a_part_that_ends_while_its_parent_is_looked_at_is_not_missed(client: redis.asyncio.Redis) -> None:
    seen: list[str] = []

    async def advance(id: str) -> None:
        seen.append(id)
        if len(seen) == 1:
            await scripts.run_async(client, scripts.end_job("b1-1", State.CANCELLED, keep=60))

    reconciling = reconciles(client, advance)
    await submit(client, "b1-0")
    await submit(client, "b1-1")
    await scripts.run_async(client, scripts.end_job("b1-0", State.CANCELLED, keep=60))
    assert [await reconciling.round() for _ in range(3)] == [1, 1, 0]
    assert seen == ["b1", "b1"]


async def test_a_parent_that_cannot_continue_is_looked_at_again_later(client: redis.asyncio.Redis) -> None:
    async def advance(id: str) -> None:
        raise ValueError(id)

    reconciling = reconciles(client, advance)
    await parents.due_now(client, "batch:b1")
    await reconciling.round()
    assert await reconciling.round() == 0
    assert await client.zscore(keys.RECONCILE, "batch:b1")


async def test_a_parent_of_an_unknown_kind_is_tried_again_and_then_set_aside(
    client: redis.asyncio.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    reconciling = reconciles(client, lambda id: _noted([], id))
    for _ in range(10):
        await parents.due_now(client, "cake:c1")
        assert await reconciling.round() == 1
    assert "Cannot reconcile 'cake'. This process knows batch." in caplog.text
    assert await client.zscore(keys.RECONCILE, "cake:c1") is None


async def _noted(seen: list[str], id: str) -> None:
    await asyncio.sleep(0)
    seen.append(id)


def test_an_order_travels_whole() -> None:
    order = TaskSpec({"rows": [0, 10]})
    assert TaskSpec.unpack(order.pack()) == order
