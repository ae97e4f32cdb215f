"""Service tiers in a running system: what starts next, by the order in which a single process starts it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from app.registry.repository import Repository
from app.runtime.publishing import publish
from tests.misbehaving import Moody
from tests.running import Running
from tests.topologies import until

POOL = "tiered"
MODEL = "tierer"


@pytest.fixture(scope="module")
def tiered(running: Running) -> Iterator[tuple[httpx.Client, str]]:
    """A client of an API, and the URL of its worker, which has one process."""
    publish(Repository(running.models), Moody(), MODEL, sample=np.zeros((3, 2)), format="joblib", pool=POOL, time_limit_s=60)
    own = {"key_prefix": "tiers"}
    with (
        running.process("api", **own) as (_, url),
        running.process("worker", pool=POOL, processes=1, **own) as (_, worker),
        httpx.Client(base_url=url, timeout=120) as client,
    ):
        until(lambda: client.get(f"/v2/models/{MODEL}/ready").status_code == 200, "the model is served")
        yield client, worker


@pytest.fixture
def api(tiered: tuple[httpx.Client, str]) -> Iterator[httpx.Client]:
    """A client of an API whose pool takes nothing until the test resumes it."""
    client, worker = tiered
    client.post(f"/v1/pools/{POOL}/pause").raise_for_status()
    until(lambda: "paused since" in httpx.get(f"{worker}/readyz").text, "the worker knows that its pool is paused")
    yield client
    resume(client)


def resume(api: httpx.Client) -> None:
    api.post(f"/v1/pools/{POOL}/resume").raise_for_status()


def submit(api: httpx.Client, tier: str, **fields: Any) -> str:
    body = {"model": MODEL, "inputs": [[0.0, 1.0]], "service_tier": tier, **fields}
    return str(api.post("/v1/jobs", json=body).raise_for_status().json()["id"])


def ended(api: httpx.Client, id: str) -> dict[str, Any]:
    job = dict(api.get(f"/v1/jobs/{id}", params={"wait": 60}).raise_for_status().json())
    assert job["state"] == "succeeded", job
    return job


def waiting(api: httpx.Client) -> dict[str, int]:
    [pool] = [pool for pool in api.get("/v1/pools").json()["items"] if pool["pool"] == POOL]
    return dict(pool["waiting"])


def test_jobs_start_in_the_order_of_their_tiers(api: httpx.Client) -> None:
    tiers = ["flex", "default", "default", "default", "priority"]
    jobs = [submit(api, tier) for tier in tiers]
    assert waiting(api) == {"priority": 1, "interactive": 3, "bulk": 0, "flex": 1}
    resume(api)
    started = {id: ended(api, id)["started_at"] for id in jobs}
    assert sorted(jobs, key=lambda id: str(started[id])) == [jobs[4], *jobs[1:4], jobs[0]]


def test_a_job_with_half_of_its_deadline_behind_it_moves_up(api: httpx.Client) -> None:
    before = [submit(api, "priority") for _ in range(3)]
    patient = submit(api, "default")
    urgent = submit(api, "default", deadline_s=4)
    until(lambda: waiting(api)["priority"] == 4, "the job has moved to the queue of the tier priority")
    assert waiting(api)["interactive"] == 1
    metrics = api.get("/metrics").text
    assert f'celeriac_deliveries_moved_up_total{{queue="{POOL}"}} 1.0' in metrics
    resume(api)
    started = [ended(api, id)["started_at"] for id in [*before, patient]]
    assert started == sorted(started)
    assert "service_tier" not in api.get(f"/v1/jobs/{urgent}").json()
