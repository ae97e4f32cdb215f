"""The workers that are alive, what they serve, and what their processes run."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from app.core.deliveries import Outcome
from app.core.errors import PredictionFailed
from app.store import running, workers
from tests.api.conftest import Worker

pytestmark = pytest.mark.slow

ROW = [0.0] * 64


async def submit(api: httpx.AsyncClient) -> str:
    return str((await api.post("/v1/jobs", json={"model": "digits", "inputs": [ROW]})).json()["id"])


async def listed(api: httpx.AsyncClient) -> dict[str, Any]:
    return dict((await api.get("/v1/workers")).raise_for_status().json())


async def test_workers_are_listed_with_what_they_serve(api: httpx.AsyncClient, worker: Worker) -> None:
    versions = {"ready": [["wine", "1"]], "loading": [["wine", "2"]], "refused": [["digits", "9", "it is broken"]]}
    workers.report(worker.client, workers.Worker("gpu@pod-1-7", "gpu", 3, time.time(), start_s=2.5, **versions), [])
    workers.report(worker.client, workers.Worker("gpu@pod-0-7", "gpu", 3, time.time() - 60), [])
    [item] = (await listed(api))["items"]
    del item["seen_at"]
    assert item == {
        "name": "gpu@pod-1-7",
        "pool": "gpu",
        "host": "pod-1",
        "processes": 3,
        "ready": ["wine@1"],
        "loading": ["wine@2"],
        "refused": [{"version": "digits@9", "reason": "it is broken"}],
        "start_s": 2.5,
    }


async def test_a_process_is_listed_while_it_runs_a_job(api: httpx.AsyncClient, worker: Worker) -> None:
    id = await submit(api)
    assert (await listed(api))["running"] == []
    delivery = worker.take()
    [entry] = (await listed(api))["running"]
    assert entry.pop("started_at") == (await api.get(f"/v1/jobs/{id}")).json()["started_at"]
    assert entry == {"process": "host/1", "pool": "default", "job": id, "jobs": 1, "model": "digits", "version": "1"}
    worker.finish(delivery, Outcome(id, error=PredictionFailed("it raised")))
    assert (await listed(api))["running"] == []


async def test_a_list_says_that_more_run_than_it_has(api: httpx.AsyncClient, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MOST", 2)
    for _ in range(3):
        await submit(api)
        worker.take()
    page = await listed(api)
    assert (len(page["running"]), page["complete"]) == (2, False)
