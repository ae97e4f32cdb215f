"""What a pool wants, as KEDA reads it: from what waits, what models took lately, and what workers there are."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
import redis

from app.core.errors import InvalidInput
from app.core.stats import BUCKET, RUN, RUNS, UNIT_S, WAITS, Figures, Series
from app.settings import settings
from app.store import keys, workers
from app.store.redis.client import connect_async
from app.store.stats import record
from tests.api.conftest import Worker, running, until

ROW = [0.0] * 64


async def submit(api: httpx.AsyncClient, jobs: int = 1) -> None:
    for _ in range(jobs):
        assert (await api.post("/v1/jobs", json={"model": "digits", "inputs": [ROW]})).status_code == 202


async def wanted(api: httpx.AsyncClient, pool: str = "default") -> dict[str, Any]:
    response = await api.get(f"/v1/pools/{pool}/wanted")
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def took(seconds: float, jobs: int = 100) -> None:
    """Figures of earlier jobs of `digits`."""
    lanes = [0] * len(Figures().lanes)
    lanes[RUN], lanes[WAITS], lanes[RUNS] = round(jobs * seconds / UNIT_S), jobs, jobs
    series = str(Series("default", "digits", "1"))
    async with connect_async() as client:
        await client.zadd(keys.STATS, {series: time.time()})
        await record(client, {series: Figures(lanes)})


def live(client: redis.Redis, processes: int = 2) -> None:
    workers.report(client, workers.Worker("default@host-1", "default", processes, time.time(), start_s=3.0), [])


@pytest.fixture
def promised(configured: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    configured.setenv("CELERIAC_POOL_SLO", "default=5")
    settings.cache_clear()
    return configured


async def test_an_idle_pool_wants_nothing(promised: pytest.MonkeyPatch) -> None:
    async with running() as api:
        answer = await wanted(api)
    assert answer == {
        "pool": "default", "wanted": 0, "pods": 0, "slo_s": 5.0, "arrival_rate": 0.0, "waiting_work_s": 0.0, "oldest_wait_s": 0.0,
        "wait_p95_s": None, "start_s": 0.0, "reasons": ["Nothing runs or waits."],
    }  # fmt: skip


async def test_jobs_count_by_the_time_that_their_model_takes(promised: pytest.MonkeyPatch, worker: Worker) -> None:
    live(worker.client)
    await took(20.0)
    async with running() as api:
        await submit(api, 8)
        answer = await wanted(api)
    assert answer["waiting_work_s"] == pytest.approx(160.0)
    assert (answer["wanted"], answer["pods"], answer["start_s"]) == (8, 4, 3.0)


async def test_short_jobs_want_no_pod(promised: pytest.MonkeyPatch, worker: Worker) -> None:
    live(worker.client)
    await took(0.001)
    async with running() as api:
        await submit(api, 30)
        answer = await wanted(api)
    assert (answer["wanted"], answer["pods"]) == (1, 1)
    assert answer["arrival_rate"] == pytest.approx(0.5, rel=0.1)
    assert answer["wait_p95_s"] is not None


async def test_the_first_job_that_ends_says_what_the_others_take(promised: pytest.MonkeyPatch, worker: Worker) -> None:
    async with running() as api:
        await submit(api, 3)
        assert (await wanted(api))["waiting_work_s"] == 15.0
        await took(0.01)
        await until(lambda: _waits_for(api, 0.03), "the run times are read again")


async def _waits_for(api: httpx.AsyncClient, seconds: float) -> bool:
    return bool((await wanted(api))["waiting_work_s"] == pytest.approx(seconds))


async def test_a_model_without_figures_counts_as_the_promise(promised: pytest.MonkeyPatch) -> None:
    async with running() as api:
        await submit(api, 3)
        answer = await wanted(api)
    assert answer["waiting_work_s"] == 15.0
    assert answer["wanted"] == 3


async def test_jobs_that_run_longer_than_promised_keep_their_processes(promised: pytest.MonkeyPatch, worker: Worker) -> None:
    live(worker.client)
    async with running() as api:
        await submit(api)
        delivery = worker.take()
        worker.client.hset(keys.held("default")[0], delivery.id, "message")
        worker.client.hincrbyfloat(keys.delivery(delivery.id), "began", -10)
        answer = await wanted(api)
    assert answer["reasons"][0] == "1 deliveries run, 1 of them longer than 5 s."


async def test_long_chunks_of_batches_want_no_processes_beside_themselves(promised: pytest.MonkeyPatch, worker: Worker) -> None:
    live(worker.client)
    worker.client.hset(keys.held("default")[0], "chunk", "message")
    worker.client.zadd(keys.running("default.bulk"), {"chunk": time.time()})
    worker.client.hset(keys.delivery("chunk"), mapping={"began": time.time() - 60, "model": "digits"})
    async with running() as api:
        answer = await wanted(api)
    assert (answer["wanted"], answer["reasons"]) == (1, ["1 deliveries run, 0 of them longer than 5 s."])


async def test_a_pool_without_a_promise_counts_deliveries(api: httpx.AsyncClient) -> None:
    await submit(api, 3)
    answer = await wanted(api)
    assert (answer["slo_s"], answer["wanted"]) == (None, 3)
    assert answer["reasons"] == ["3 deliveries wait or run. Without a promise, each counts as one process."]


async def test_a_paused_pool_wants_only_what_runs(promised: pytest.MonkeyPatch) -> None:
    async with running() as api:
        await submit(api, 3)
        await api.post("/v1/pools/default/pause", json={})
        answer = await wanted(api)
    assert (answer["wanted"], answer["reasons"]) == (0, ["The pool is paused: only what runs keeps its processes."])


async def test_a_pool_is_kept_warm_after_its_last_job(promised: pytest.MonkeyPatch, worker: Worker) -> None:
    promised.setenv("CELERIAC_POOL_KEEP_WARM", "default=7200")
    series, minute = str(Series("default", "digits", "1")), int(time.time()) // 60 - 60
    worker.client.zadd(keys.STATS, {series: time.time()})
    # As `stats.lua` writes a job of an hour ago: 4 bytes, two half hours, and then the minutes.
    worker.client.setrange(keys.stats_hour(f"{minute // 60}:{series}"), 4 + (2 + minute % 60) * BUCKET, b"\0\0\0\1")
    async with running() as api:
        answer = await wanted(api)
    assert answer["wanted"] == 1
    assert answer["reasons"][0].startswith("The last job came 3")


async def test_a_pool_that_nothing_names_wants_nothing(api: httpx.AsyncClient) -> None:
    """A scaler may ask before the first model is published."""
    answer = await wanted(api, "gpu")
    assert (answer["wanted"], answer["reasons"]) == (0, ["No model and no worker names the pool."])


@pytest.mark.parametrize("value", ["gpu", "gpu=soon", "gpu=0", "GPU=5", "gpu=5;default=1"])
def test_a_promise_that_is_not_a_time_is_refused(configured: pytest.MonkeyPatch, value: str) -> None:
    configured.setenv("CELERIAC_POOL_SLO", value)
    with pytest.raises(InvalidInput, match="is not POOL=SECONDS"):
        settings()


async def test_a_name_that_no_pool_can_have_is_refused(api: httpx.AsyncClient) -> None:
    response = await api.get("/v1/pools/GPU/wanted")
    assert (response.status_code, response.json()["code"]) == (404, "pool_not_found")


async def test_the_list_of_pools_shows_the_same(promised: pytest.MonkeyPatch) -> None:
    async with running() as api:
        await submit(api, 3)
        [pool] = (await api.get("/v1/pools")).json()["items"]
        answer = await wanted(api)
    assert pool["demand"].keys() == answer.keys() - {"pool"}
    assert pool["demand"]["wanted"] == answer["wanted"] == 3
