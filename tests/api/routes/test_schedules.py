"""How a planned run begins, and what happens where it cannot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
import redis

from app.services.requests.schedules import Creation
from app.store import keys
from tests.api.conftest import running

QUEUE = keys.list_of("training.bulk")
BODY: dict[str, Any] = {
    "name": "hourly",
    "every_s": 3600,
    "run": {"training": {"trainer": "ridge", "dataset": "a.csv", "target": "y", "model": "m"}},
}


@pytest.fixture
def store(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as found:
        yield found


@pytest.fixture
async def api(configured: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """Of an API whose queues take one delivery each, with a schedule."""
    configured.setenv("CELERIAC_MAX_QUEUE", "1")
    async with running() as found:
        assert (await found.post("/v1/schedules", json=BODY)).status_code == 201
        yield found


def plan(store: redis.Redis, planned: int) -> None:
    """What beat does when a run is due."""
    store.zadd(keys.RECONCILE, {f"schedule:hourly@{planned}": 0})
    store.publish(keys.RECONCILE_DUE, "due")


async def runs(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    return list((await api.get("/v1/schedules/hourly/runs")).json()["items"])


async def until(look: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not (await found if asyncio.iscoroutine(found := look()) else found):  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # it is done by a task of the API


async def test_a_run_begins_once_however_often_it_is_said_to_be_due(api: httpx.AsyncClient, store: redis.Redis) -> None:
    now = int(time.time())
    for _ in range(3):
        plan(store, now)
        await until(lambda: store.zcard(keys.RECONCILE) == 0)
    [run] = await runs(api)
    assert (run["state"], run["kind"]) == ("queued", "training")
    assert store.llen(QUEUE) == 1
    assert (await api.get(f"/v1/trainings/{run['id']}")).json()["request"]["dataset"] == "a.csv"


async def test_a_run_waits_where_the_queue_is_full(api: httpx.AsyncClient, store: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    store.lpush(QUEUE, "{}")
    now = int(time.time())
    plan(store, now)
    await until(lambda: "waits: The queue" in caplog.text)
    assert await runs(api) == []
    store.delete(QUEUE)
    plan(store, now)
    await until(lambda: runs(api))
    assert [run["state"] for run in await runs(api)] == ["queued"]


async def test_a_run_waits_while_its_pool_drains(api: httpx.AsyncClient, store: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    assert (await api.post("/v1/pools/training/drain")).status_code == 200
    now = int(time.time())
    plan(store, now)
    await until(lambda: "Pool 'training' accepts no new work" in caplog.text)
    assert await runs(api) == []
    assert (await api.post("/v1/pools/training/resume")).status_code == 200
    plan(store, now)
    await until(lambda: runs(api))
    assert [run["state"] for run in await runs(api)] == ["queued"]


async def test_a_run_that_waited_until_the_next_is_given_up(api: httpx.AsyncClient, store: redis.Redis) -> None:
    store.lpush(QUEUE, "{}")
    plan(store, int(time.time()) - 2 * 3600)
    await until(lambda: runs(api))
    [run] = await runs(api)
    assert (run["state"], run["id"], run["error"]["code"]) == ("failed", None, "queue_full")
    await until(lambda: store.zcard(keys.RECONCILE) == 0)


async def test_a_run_of_a_schedule_that_was_deleted_is_let_go(api: httpx.AsyncClient, store: redis.Redis) -> None:
    await api.delete("/v1/schedules/hourly")
    plan(store, int(time.time()))
    await until(lambda: store.zcard(keys.RECONCILE) == 0)
    assert store.llen(QUEUE) == 0
    assert store.keys("*hourly*") == []


async def test_there_are_no_more_schedules_than_may_be(configured: pytest.MonkeyPatch) -> None:
    configured.setenv("CELERIAC_MAX_SCHEDULES", "1")
    async with running() as api:
        assert (await api.post("/v1/schedules", json=BODY)).status_code == 201
        refused = await api.post("/v1/schedules", json={**BODY, "name": "second"})
    assert (refused.status_code, refused.json()["code"]) == (409, "schedule_conflict")


async def test_a_run_may_bring_a_webhook_along(api: httpx.AsyncClient) -> None:
    train = {**BODY["run"]["training"], "webhook": {"url": "not a url"}}
    refused = await api.post("/v1/schedules", json={**BODY, "name": "reported", "run": {"training": train}})
    assert refused.json()["errors"][0]["pointer"] == "/run/training/webhook/url"


def test_a_job_belongs_to_one_schedule_even_of_the_same_name() -> None:
    first, second = (Creation.parse(BODY).checked(now) for now in (1000, 2000))
    assert first.job("nightly", 3000) != second.job("nightly", 3000)
