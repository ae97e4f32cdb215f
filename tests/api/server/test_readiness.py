"""Ready means: a request would be answered."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.api.routes import pools
from app.broker.queue_depth import QueueDepth
from app.cluster.scaling import Scaling
from app.registry.repository import Repository
from app.runtime.publishing import publish
from app.services.pool_demand import UNNAMED
from app.services.pools import PoolOverview
from app.store import workers
from tests.api.conftest import Worker, running
from tests.misbehaving import Moody

pytestmark = pytest.mark.slow

READY = "/v2/models/digits/ready"
WORKER = workers.Worker("default@pod-1-7", "default", 2, 0.0)


def report(worker: Worker, **changed: Any) -> None:
    workers.report(worker.client, replace(WORKER, seen_at=time.time(), **changed), [])


async def status(api: httpx.AsyncClient, *paths: str) -> list[int]:
    return [(await api.get(path)).status_code for path in paths]


async def test_without_workers_and_autoscaler_nothing_is_ready_and_the_server_lives(api: httpx.AsyncClient) -> None:
    assert await status(api, READY) == [503]
    answer = await api.get("/v2/health/ready")
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "live": True})
    assert (await api.get("/v2/health/live")).json() == {"live": True}


@pytest.mark.parametrize("listed", ["default", "gpu, default", "default,"])
async def test_a_pool_at_zero_that_a_request_wakes_is_ready(configured: pytest.MonkeyPatch, listed: str) -> None:
    configured.setenv("CELERIAC_AUTOSCALED_POOLS", listed)
    async with running() as api:
        assert await status(api, READY, "/v2/health/ready", "/v2/models/digits/versions/1/ready") == [200, 200, 200]
        assert [pool["obstacles"] for pool in (await api.get("/v1/pools")).json()["items"]] == [[]]


async def test_another_pool_that_is_woken_does_not_help_a_model(configured: pytest.MonkeyPatch) -> None:
    configured.setenv("CELERIAC_AUTOSCALED_POOLS", "gpu")
    async with running() as api:
        assert await status(api, READY) == [503]


async def test_a_version_that_is_refused_is_not_ready_in_an_autoscaled_pool(configured: pytest.MonkeyPatch, worker: Worker) -> None:
    configured.setenv("CELERIAC_AUTOSCALED_POOLS", "default")
    report(worker, refused=[["digits", "1", "it is broken"]])
    async with running() as api:
        assert await status(api, READY) == [503]


async def test_a_superseded_version_is_ready_because_a_worker_loads_it_on_request(
    configured: pytest.MonkeyPatch, worker: Worker, sample_models: Path, tmp_path: Path
) -> None:
    shutil.copytree(sample_models, tmp_path / "models")
    configured.setenv("CELERIAC_MODELS", str(tmp_path / "models"))
    for version in ("1", "2", "3"):
        publish(Repository(tmp_path / "models"), Moody(), "moody", sample=np.zeros((3, 2)), format="joblib", version=version)
    report(worker, ready=[["moody", "2"]])
    async with running() as api:
        ready = [f"/v2/models/moody/versions/{version}/ready" for version in ("1", "2", "3")]
        # The newest one is loaded without a request, and may turn out to be broken.
        assert await status(api, *ready) == [200, 200, 503]


async def test_nothing_is_ready_while_redis_refuses_us(configured: pytest.MonkeyPatch, worker: Worker) -> None:
    configured.setenv("CELERIAC_AUTOSCALED_POOLS", "default")
    report(worker, ready=[["digits", "1"]])
    async with running() as api:
        assert await status(api, "/v2/health/ready") == [200]
        worker.client.config_set("requirepass", "secret")
        worker.client.auth("secret")
        worker.client.client_kill_filter(_type="normal", skipme=True)
        try:
            answer = await api.get("/v2/health/ready")
            assert (answer.status_code, answer.json()) == (503, {"ready": False, "live": True})
            assert await status(api, "/readyz") == [503]
        finally:
            worker.client.config_set("requirepass", "")


def test_pods_that_are_terminating_are_not_counted_as_workers() -> None:
    living = [WORKER, replace(WORKER, name="default@celeriac-worker-default-5d-2-1")]
    seen = Scaling(0, 0, 0, 5, None, [], frozenset({"celeriac-worker-default-5d-2"}))
    depths = {"default": QueueDepth(0, 0, 0, 0, 0)}
    shown = pools.present("default", PoolOverview(depths, {"default": 0}, {}, living, (), {"default": seen}, None, {"default": UNNAMED}))
    assert (shown["workers"], shown["processes"]) == (1, 2)
    assert shown["scaling"] == {"wanted": 0, "ready": 0, "minimum": 0, "maximum": 5, "last_event": None}
