"""GET /v1/jobs/{id}/diagnosis: why a job waits, and why it was slow."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from app.core.deliveries import Outcome
from app.core.errors import PredictionFailed
from app.store import keys
from tests.api.conftest import Worker
from tests.api.routes.test_job_details import submit, succeeded

pytestmark = pytest.mark.slow


async def diagnosis(api: httpx.AsyncClient, id: str) -> Any:
    response = await api.get(f"/v1/jobs/{id}/diagnosis")
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_job_without_a_worker_says_what_is_missing_and_its_turn(api: httpx.AsyncClient, worker: Worker) -> None:
    del worker
    await submit(api)
    explained = await diagnosis(api, await submit(api))
    assert [(station["station"], station["slow"]) for station in explained["stations"]] == [("queued", False)]
    missing, turn, deadline = explained["reasons"]
    assert missing == "No worker of pool 'default' is alive. Start one with CELERIAC_POOL=default."
    assert turn == "1 job is before it in the queue. Pool 'default' has 0 processes."
    assert deadline.startswith("If no worker starts it until 20")


async def test_a_job_of_a_paused_pool_says_only_that(api: httpx.AsyncClient, worker: Worker) -> None:
    del worker
    await api.post("/v1/pools/default/pause", json={"reason": "kernel update"})
    [reason] = (await diagnosis(api, await submit(api)))["reasons"]
    assert reason.startswith("Pool 'default' starts no new work: it has been paused since")


async def test_a_slow_job_is_compared_with_the_others_of_its_version(api: httpx.AsyncClient, worker: Worker) -> None:
    id = await submit(api)
    for _ in range(99):
        await submit(api)
    first, *others = [worker.take() for _ in range(100)]
    for delivery in others:
        worker.finish(delivery, *map(succeeded, delivery.jobs))
    worker.client.hset(keys.job(id), "tries", f"{time.time() - 50} host/1\n")
    worker.client.hincrbyfloat(keys.job(id), "created_at", -50)
    worker.client.hincrbyfloat(keys.job(id), "started_at", -50)
    worker.finish(first, succeeded(id))
    explained = await diagnosis(api, id)
    run = explained["stations"][-1]
    assert (run["station"], run["slow"]) == ("run", True)
    assert run["usual_p50_s"] < run["usual_p99_s"] < run["seconds"]
    assert any(reason.startswith("It ran for") and "With digits@1" in reason for reason in explained["reasons"])


async def test_a_failed_job_says_its_error(api: httpx.AsyncClient, worker: Worker) -> None:
    id = await submit(api)
    worker.finish(worker.take(), Outcome(id, error=PredictionFailed("it raised")))
    assert (await diagnosis(api, id))["reasons"] == ["it raised"]


async def test_a_job_that_does_not_exist_has_none(api: httpx.AsyncClient) -> None:
    assert (await api.get("/v1/jobs/nothing-here/diagnosis")).status_code == 404
