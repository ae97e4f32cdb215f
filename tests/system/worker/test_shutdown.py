"""The end of a worker that runs something: it ends that, or hands it back."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
import redis

from app.registry.repository import Repository
from app.runtime.publishing import publish
from app.store import keys
from tests.misbehaving import SLEEP, Moody
from tests.running import ROOT, Running

POOL = "leaving"


@pytest.fixture(scope="module")
def pool(running: Running) -> str:
    """Of one model, with no worker yet."""
    publish(Repository(running.models), Moody(), "leaver", sample=np.zeros((3, 2)), format="joblib", pool=POOL, time_limit_s=60)
    return POOL


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)  # other processes set no event of ours


def job(running: Running, id: str) -> tuple[str, int]:
    found = httpx.get(f"{running.url}/v1/jobs/{id}").json()
    return found["state"], found["attempt"]


def sleep_for(running: Running, seconds: float) -> str:
    """A job that runs."""
    until(lambda: httpx.get(f"{running.url}/v2/models/leaver/ready").status_code == 200)
    body = {"model": "leaver", "inputs": [[SLEEP, seconds]]}
    id = str(httpx.post(f"{running.url}/v1/jobs", json=body).raise_for_status().json()["id"])
    until(lambda: job(running, id) == ("running", 1))
    return id


def runs_in(running: Running, id: str, worker: subprocess.Popen[bytes]) -> bool:
    with redis.Redis.from_url(running.redis_url) as store:
        child = str(store.hget(keys.job(id), "worker") or b"").rpartition("/")[2].rstrip("'")
    return child in Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()


def test_what_runs_while_its_worker_drains_is_nobody_elses(running: Running, pool: str) -> None:
    """Although it runs for longer than a dead worker's lease, and another worker is idle."""
    options = {"pool": pool, "processes": 1, "visibility_timeout_s": 2}
    with running.process("worker", **options) as (one, _), running.process("worker", **options) as (other, _):
        id = sleep_for(running, 7)
        leaving = one if runs_in(running, id, one) else other
        leaving.send_signal(signal.SIGTERM)
        assert leaving.wait(30) == 0
    assert job(running, id) == ("succeeded", 1)


@pytest.mark.parametrize("told_again", [True, pytest.param(False, marks=pytest.mark.extended)])
def test_what_does_not_end_is_handed_back_and_loses_no_attempt(running: Running, pool: str, told_again: bool) -> None:
    with running.process("worker", pool=pool, processes=1, drain_timeout_s=60 if told_again else 0.1) as (worker, url):
        id = sleep_for(running, 50)
        worker.send_signal(signal.SIGTERM)
        if told_again:
            until(lambda: httpx.get(f"{url}/readyz").status_code == 503)
            worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
    assert job(running, id) == ("queued", 0)
    with redis.Redis.from_url(running.redis_url) as store:
        assert store.llen(keys.list_of(pool)) == 1
        assert not any(store.exists(key) for key in keys.held(pool))
    httpx.delete(f"{running.url}/v1/jobs/{id}")


@pytest.mark.extended
def test_a_task_of_a_canvas_does_not_keep_its_worker_from_ending(running: Running, pool: str) -> None:
    with running.process("worker", pool=pool, processes=1, drain_timeout_s=0.1) as (worker, _):
        until(lambda: httpx.get(f"{running.url}/v2/models/leaver/ready").status_code == 200)
        line = [sys.executable, "-c", f"from app.canvas import predict; predict.delay([[{SLEEP}, 50]], 'leaver')"]
        subprocess.run(line, env=running.environment | {"CELERIAC_POOL": pool}, cwd=ROOT, check=True)
        with redis.Redis.from_url(running.redis_url) as store:
            until(lambda: bool(store.hlen(f"{keys.PREFIX}{keys.unacked(pool)}")))
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
