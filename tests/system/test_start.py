"""How an API and a worker start if Redis is unavailable, or unfit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import redis
from celery import Celery

from app.broker.celery import configuration
from app.cli import redis_server as servers
from app.cli.parent_death import end_with_parent
from app.cli.ports import free_port
from app.settings import settings
from tests import tools
from tests.running import ROOT
from tests.topologies import until


@dataclass
class Process:
    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def get(self, path: str) -> int:
        """The status; 0 where nobody listens."""
        try:
            return httpx.get(f"{self.url}{path}").status_code
        except httpx.TransportError:
            return 0


Start = Callable[..., Process]


@pytest.fixture
def start(sample_models: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts an `api` or a `worker` against the Redis of a URL, and does not wait until it is ready."""
    started = []

    def run(room: str, redis_url: str, **more: object) -> Process:
        port = free_port()
        log = tmp_path / f"{room}-{port}.log"
        own = {"REDIS_URL": redis_url, "MODELS": sample_models, "STATE": tmp_path, f"{room.upper()}_PORT": port} | more
        environment = os.environ | {f"CELERIAC_{name}": str(value) for name, value in own.items()}
        with log.open("wb") as file:
            command = [sys.executable, "-m", "app", room]
            process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=file, stderr=file, preexec_fn=end_with_parent)
        started.append(process)
        return Process(process, f"http://127.0.0.1:{port}", log)

    yield run
    for process in started:
        process.send_signal(signal.SIGTERM)
    for process in started:
        process.wait(60)


@pytest.mark.parametrize("room", ["api", "worker"])
def test_a_process_refuses_a_redis_that_evicts(room: str, start: Start, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", "100mb")
        try:
            found = start(room, redis_url)
            assert found.process.wait(60) == 7
        finally:
            client.config_set("maxmemory", "0")
            client.config_set("maxmemory-policy", "noeviction")
    assert "silently drop jobs when its memory is full: `CONFIG SET maxmemory-policy noeviction`" in found.log.read_text()


def test_processes_live_without_redis_and_are_ready_with_it(start: Start, tmp_path: Path) -> None:
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    both = start("api", url), start("worker", url)
    for found in both:
        until(lambda found=found: found.get("/livez") == 200, "it lives")  # type: ignore[misc]
        assert found.get("/readyz") == 503
    server = tools.redis_server()
    with (tmp_path / "redis.log").open("wb") as log:
        line = servers.command(server, port, tmp_path, durable=False)
        came = subprocess.Popen(line, stdout=log, stderr=log, preexec_fn=end_with_parent)
    try:
        for found in both:
            until(lambda found=found: found.get("/readyz") == 200, "it is ready")  # type: ignore[misc]
        row = [[0.0] * 10]
        until(lambda: httpx.get(f"{both[0].url}/v2/models/diabetes/ready").status_code == 200, "the model is served")
        job = httpx.post(f"{both[0].url}/v1/jobs?wait=20", json={"model": "diabetes", "inputs": row}, timeout=30).json()
        assert job["state"] == "succeeded"
        came.kill()
        for found in both:
            until(lambda found=found: found.get("/readyz") == 503, "it is ready no longer")  # type: ignore[misc]
            assert found.get("/livez") == 200
        assert [found.process.poll() for found in both] == [None, None]
    finally:
        came.kill()
        came.wait(10)


@pytest.mark.extended
def test_a_worker_ends_where_the_redis_that_comes_is_unfit(start: Start, tmp_path: Path) -> None:
    port = free_port()
    found = start("worker", f"redis://127.0.0.1:{port}/0")
    until(lambda: found.get("/livez") == 200, "it lives")
    unfit = {"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"}
    with (tmp_path / "redis.log").open("wb") as log:
        line = servers.command(tools.redis_server(), port, tmp_path, durable=False, **unfit)
        came = subprocess.Popen(line, stdout=log, stderr=log, preexec_fn=end_with_parent)
    try:
        assert found.process.wait(60) == 7
    finally:
        came.kill()
        came.wait(10)
    assert "silently drop jobs" in found.log.read_text()


@pytest.mark.extended
def test_a_worker_that_does_not_consume_ends_and_the_next_one_answers(
    start: Start, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, deaf = start("api", redis_url), start("worker", redis_url, STALL_TIMEOUT_S=1)
    until(lambda: deaf.get("/readyz") == 200, "the worker is ready")
    until(lambda: api.get("/v2/models/diabetes/ready") == 200, "the model is served")
    app = Celery(set_as_current=False)
    monkeypatch.setenv("CELERIAC_REDIS_URL", redis_url)
    settings.cache_clear()
    try:
        app.conf.update(configuration("default"))
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    (answer,) = app.control.cancel_consumer("default", reply=True, timeout=10, limit=1)
    assert "no longer consuming" in str(answer)
    job = httpx.post(f"{api.url}/v1/jobs", json={"model": "diabetes", "inputs": [[0.0] * 10]}).json()
    assert deaf.process.wait(60) == 1
    assert "took nothing though a delivery waits in the queue default" in deaf.log.read_text()
    following = start("worker", redis_url)
    until(lambda: following.get("/readyz") == 200, "the next worker is ready")
    assert httpx.get(f"{api.url}/v1/jobs/{job['id']}?wait=30", timeout=60).json()["state"] == "succeeded"
