from __future__ import annotations

import time

import httpx
import pytest
import yaml

from app.core.models import Manifest
from app.store import workers
from tests.api.conftest import Worker, running
from tests.running import ROOT

ROW = [0.0] * 64


async def test_outside_a_cluster_redis_says_what_waits_and_that_nobody_works(api: httpx.AsyncClient) -> None:
    await api.post("/v1/jobs", json={"model": "digits", "inputs": [ROW]})
    reported = (await api.get("/v1/pools")).json()
    [pool] = reported["items"]
    assert pool.pop("demand")["wanted"] == 1
    assert pool == {
        "pool": "default",
        "state": "active",
        "since": None,
        "by": None,
        "reason": None,
        "waiting": {"priority": 0, "interactive": 1, "bulk": 0, "flex": 0},
        "held_back": 0,
        "running": 0,
        "workers": 0,
        "processes": 0,
        "scaling": None,
        "obstacles": ["No worker of pool 'default' is alive. Start one with CELERIAC_POOL=default."],
    }
    assert reported["note"].startswith("The API does not read the cluster")
    assert "cluster.read=true" in reported["note"]
    assert yaml.safe_load((ROOT / "charts/celeriac/values.yaml").read_text())["cluster"]["read"] is True


async def test_workers_that_live_are_counted_with_their_processes(configured: pytest.MonkeyPatch, worker: Worker) -> None:
    inferred: list[Manifest] = []
    for name in ("a", "b"):
        workers.report(worker.client, workers.Worker(name, "gpu", 3, time.time()), inferred)
    async with running() as api:
        found = {pool["pool"]: pool for pool in (await api.get("/v1/pools")).json()["items"]}
    assert found.keys() == {"default", "gpu"}
    assert (found["gpu"]["workers"], found["gpu"]["processes"], found["gpu"]["obstacles"]) == (2, 6, [])


async def test_a_process_that_is_in_no_cluster_says_so_and_answers_from_redis(configured: pytest.MonkeyPatch) -> None:
    configured.setenv("CELERIAC_CLUSTER_SELECTOR", "app=celeriac")
    async with running() as api:
        reported = (await api.get("/v1/pools")).json()
    assert reported["note"].startswith("this process does not run in a pod with a service account token")
    assert [pool["scaling"] for pool in reported["items"]] == [None]
