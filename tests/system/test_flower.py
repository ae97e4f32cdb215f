"""Flower as it runs: what it shows of queues and tasks, what it asks a password for, and when it is ready."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import redis

from app.cli.ports import free_port
from tests.running import ROOT, Running, wait_until_ready
from tests.topologies import until

AUTH = ("me", "secret")


@contextmanager
def flower(running: Running, **own: object) -> Iterator[str]:
    """The URL of a Flower in a namespace that has a service `flower`."""
    port = free_port()
    values = {"FLOWER_PORT": port, "FLOWER_BASIC_AUTH": ":".join(AUTH), "STATE": running.folder / "flower"} | own
    environment = running.environment | {f"CELERIAC_{name}": str(value) for name, value in values.items()}
    log = running.folder / f"flower-{port}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "flower"],
            env=environment | {"FLOWER_PORT": "tcp://10.0.0.1:5555"},
            cwd=ROOT,
            stdout=file,
            stderr=file,
        )
    url = f"http://127.0.0.1:{port}{own.get('FLOWER_URL_PREFIX', '')}"
    try:
        wait_until_ready(f"{url}/healthcheck", process, log)
        yield url
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def url(running: Running) -> Iterator[str]:
    with flower(running, FLOWER_POOLS="gpu, slow") as url:
        yield url


def test_a_task_shows_its_model_and_its_jobs(running: Running, url: str) -> None:
    with httpx.Client(auth=AUTH, timeout=60) as http:
        until(lambda: bool(http.get(f"{url}/api/workers?refresh=1").json()), "Flower hears of the worker")
        job = http.post(f"{running.url}/v1/jobs?wait=30", json={"model": "moody", "inputs": [[0, 0]]}).json()
        assert job["state"] == "succeeded"
        until(lambda: any(job["id"] in str(task["args"]) for task in http.get(f"{url}/api/tasks").json().values()), "the task is listed")
        [task] = [task for task in http.get(f"{url}/api/tasks").json().values() if job["id"] in str(task["args"])]
        assert (task["args"], task["kwargs"]) == (f"jobs: {job['id']}", f"model=moody@{job['version']}")
        page = http.get(f"{url}/tasks").text
        assert 'data-column="kwargs"' in page
        assert 'data-column="args"' in page


def test_queues_of_pools_without_workers_are_listed(running: Running, url: str) -> None:
    with redis.Redis.from_url(running.redis_url) as client:
        client.lpush("celeriac:training", "one", "two")
        try:
            listed = httpx.get(f"{url}/api/queues/length", auth=AUTH).json()["active_queues"]
        finally:
            client.delete("celeriac:training")
    lengths = {queue["name"]: queue["messages"] for queue in listed}
    assert lengths["training"] == 2
    assert {
        "default.priority",
        "default",
        "default.bulk",
        "default.flex",
        "training",
        "training.bulk",
        "gpu",
        "gpu.bulk",
        "slow",
        "slow.bulk",
    } <= lengths.keys()
    page = httpx.get(f"{url}/broker", auth=AUTH)
    assert "training.bulk" in page.text


@pytest.mark.parametrize("path", ["/metrics", "/broker", "/tasks", "/api/tasks", "/api/queues/length"])
def test_everything_but_the_probes_asks_for_the_password(url: str, path: str) -> None:
    assert httpx.get(f"{url}{path}").status_code == 401
    assert httpx.get(f"{url}{path}", auth=("me", "wrong")).status_code == 401
    assert httpx.get(f"{url}{path}", auth=AUTH).status_code == 200


def test_it_is_ready_without_a_password_below_its_prefix(running: Running) -> None:
    with flower(running, FLOWER_URL_PREFIX="/flower") as url:
        assert httpx.get(f"{url}/readyz").status_code == 200
        assert httpx.get(f"{url}/metrics").status_code == 401


def test_a_password_that_redis_refuses_is_seen_by_the_readiness_probe(running: Running) -> None:
    wrong = running.redis_url.replace("redis://", "redis://nobody:wrong@")
    with flower(running, REDIS_URL=wrong) as url:
        assert httpx.get(f"{url}/healthcheck").status_code == 200
        answer = httpx.get(f"{url}/readyz")
        assert (answer.status_code, "wrong" in answer.text) == (503, False)
