"""One owner floods a pool, in a running system. The job of another owner starts before the flood has drained."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
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

POOL = "shared"
MODEL = "sharer"
FLOOD = 30
SETTINGS = {"key_prefix": "fair", "auth": "keys"}


class Tenants:
    """An API that demands keys, a client for each owner, and the URL of the worker."""

    def __init__(self, running: Running, url: str, worker: str) -> None:
        self.worker = worker
        own = {f"CELERIAC_{name.upper()}": value for name, value in SETTINGS.items()}
        self._environment = running.environment | own | {"CELERIAC_URL": url}
        self._url = url
        self._clients = contextlib.ExitStack()
        self.admin = self._client(self._command("keys", "bootstrap").strip())

    def close(self) -> None:
        self._clients.close()

    def owner(self, name: str) -> httpx.Client:
        made = self._command("keys", "create", name, "--owner", name, "--role", "user", "--json", key=self.admin.headers["x-api-key"])
        return self._client(json.loads(made)["key"])

    def _client(self, key: str) -> httpx.Client:
        return self._clients.enter_context(httpx.Client(base_url=self._url, headers={"x-api-key": key}, timeout=120))

    def _command(self, *arguments: str, key: str = "") -> str:
        environment = self._environment | ({"CELERIAC_API_KEY": key} if key else {})
        return subprocess.run([sys.executable, "-m", "app", *arguments], env=environment, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def tenants(running: Running) -> Iterator[Tenants]:
    publish(Repository(running.models), Moody(), MODEL, sample=np.zeros((3, 2)), format="joblib", pool=POOL, time_limit_s=60)
    with running.process("api", **SETTINGS) as (_, url), running.process("worker", pool=POOL, processes=1, **SETTINGS) as (_, worker):
        tenants = Tenants(running, url, worker)
        with contextlib.closing(tenants):
            until(lambda: tenants.admin.get(f"/v2/models/{MODEL}/ready").status_code == 200, "the model is served")
            yield tenants


def submit(owner: httpx.Client) -> str:
    return str(owner.post("/v1/jobs", json={"model": MODEL, "inputs": [[0.0, 1.0]]}).raise_for_status().json()["id"])


def ended(owner: httpx.Client, id: str) -> dict[str, Any]:
    job = dict(owner.get(f"/v1/jobs/{id}", params={"wait": 60}).raise_for_status().json())
    assert job["state"] == "succeeded", job
    return job


def waiting(tenants: Tenants) -> int:
    [pool] = [pool for pool in tenants.admin.get("/v1/pools").json()["items"] if pool["pool"] == POOL]
    return int(pool["waiting"]["interactive"])


def test_a_job_starts_before_the_flood_of_another_owner_has_drained(tenants: Tenants) -> None:
    loud, calm = tenants.owner("loud"), tenants.owner("calm")
    tenants.admin.post(f"/v1/pools/{POOL}/pause").raise_for_status()
    until(lambda: "paused since" in httpx.get(f"{tenants.worker}/readyz").text, "the worker knows that its pool is paused")
    flood = [submit(loud) for _ in range(FLOOD)]
    late = submit(calm)
    assert waiting(tenants) > FLOOD // 2
    tenants.admin.post(f"/v1/pools/{POOL}/resume").raise_for_status()
    started = ended(calm, late)["started_at"]
    after = [id for id in flood if ended(loud, id)["started_at"] > started]
    assert len(after) > FLOOD // 2
