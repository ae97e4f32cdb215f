"""A pool that is paused, drained and resumed, in a running system. Another pool works meanwhile, and a restart changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from app.registry.repository import Repository
from app.runtime.publishing import publish
from tests.documentation.blocks import block
from tests.misbehaving import SLEEP, Moody
from tests.running import ROOT, Running
from tests.topologies import until

PAGE = "docs/how-to/pause.md"
POOL = "resting"
MODEL = "rester"
STALL_S = 5
REASON = "kernel update"
Worker = tuple[subprocess.Popen[bytes], str]


@pytest.fixture(scope="module")
def worker(running: Running) -> Iterator[Worker]:
    """A worker of the pool, which would soon end if it were idle beside a delivery without a cause."""
    publish(Repository(running.models), Moody(), MODEL, sample=np.zeros((3, 2)), format="joblib", pool=POOL, time_limit_s=60)
    with start(running) as started:
        until(lambda: httpx.get(f"{running.url}/v2/models/{MODEL}/ready").status_code == 200, "the model is served")
        yield started


@pytest.fixture(autouse=True)
def active(running: Running, worker: Worker) -> Iterator[None]:
    """The pool is active and empty before and after each test."""
    yield
    change(running, "resume")
    until(lambda: not any(shown(running)["waiting"].values()), "the queue is empty")


def start(running: Running) -> Any:
    return running.process("worker", pool=POOL, processes=1, stall_timeout_s=STALL_S, price_per_hour=f"{POOL}=3600")


def shown(running: Running) -> dict[str, Any]:
    [pool] = [pool for pool in httpx.get(f"{running.url}/v1/pools").json()["items"] if pool["pool"] == POOL]
    return dict(pool)


def pause(running: Running, worker: Worker) -> dict[str, Any]:
    """Returns when the worker knows it."""
    paused = change(running, "pause", reason=REASON)
    until_paused(worker)
    return paused


def change(running: Running, verb: str, **body: str) -> dict[str, Any]:
    response = httpx.post(f"{running.url}/v1/pools/{POOL}/{verb}", json=body)
    assert response.status_code == 200, response.text
    return dict(response.json())


def submit(running: Running, model: str = MODEL, row: tuple[float, float] = (0.0, 1.0)) -> str:
    return str(httpx.post(f"{running.url}/v1/jobs", json={"model": model, "inputs": [row]}).raise_for_status().json()["id"])


def answered(running: Running, id: str) -> dict[str, Any]:
    """The job, after it has succeeded."""
    ended = dict(httpx.get(f"{running.url}/v1/jobs/{id}?wait=60", timeout=120).json())
    assert ended["state"] == "succeeded", ended
    return ended


def job(running: Running, id: str) -> dict[str, Any]:
    return dict(httpx.get(f"{running.url}/v1/jobs/{id}").json())


def turned(worker: Worker, loop: str) -> float:
    """When a loop of the worker last turned."""
    for family in text_string_to_metric_families(httpx.get(f"{worker[1]}/metrics").text):
        for sample in family.samples:
            if sample.name == "celeriac_loop_last_turn_timestamp_seconds" and sample.labels["loop"] == loop:
                return float(sample.value)
    return 0.0


def wait_for_turns(worker: Worker, loop: str, seconds: float) -> None:
    """Waits until a loop of the worker has turned for so long from now on."""
    end = time.time() + seconds
    until(lambda: turned(worker, loop) > end, f"the loop {loop} turns for {seconds} s")


def until_paused(worker: Worker) -> None:
    until(lambda: "paused since" in httpx.get(f"{worker[1]}/readyz").text, "the worker knows that its pool is paused")


def until_running(running: Running, id: str) -> None:
    until(lambda: job(running, id)["state"] == "running", "the job runs")


def test_a_paused_pool_takes_nothing_while_another_answers_until_it_is_resumed(running: Running, worker: Worker) -> None:
    paused = pause(running, worker)
    waiting = submit(running)
    answered(running, submit(running, "moody"))
    wait_for_turns(worker, "intake", 2)
    found = job(running, waiting)
    assert (found["state"], found["attempt"], "estimated_start_s" in found) == ("queued", 0, False)
    assert found["waits_for"] == (
        f"Pool 'resting' starts no new work: it has been paused since {paused['since']}, by an anonymous caller, "
        f"reason: {REASON}. Work waits until the pool is resumed."
    )
    assert httpx.get(f"{worker[1]}/readyz").status_code == 200
    assert change(running, "resume")["state"] == "active"
    assert answered(running, waiting)["attempt"] == 1
    until(lambda: "celeriac_cost_total{" in httpx.get(f"{worker[1]}/metrics").text, "the worker has counted the cost")


def test_what_runs_when_its_pool_is_paused_is_completed(running: Running, worker: Worker) -> None:
    first = submit(running, row=(SLEEP, 3.0))
    until_running(running, first)
    second = submit(running)
    pause(running, worker)
    answered(running, first)
    wait_for_turns(worker, "intake", 2)
    assert job(running, second)["state"] == "queued"


def test_a_paused_worker_with_a_delivery_in_its_queue_is_not_taken_for_a_deaf_one(running: Running, worker: Worker) -> None:
    pause(running, worker)
    submit(running)
    wait_for_turns(worker, "watchdog", 2 * STALL_S)
    assert worker[0].poll() is None


@pytest.mark.extended
def test_a_worker_that_starts_into_a_paused_pool_takes_nothing(running: Running, worker: Worker) -> None:
    pause(running, worker)
    waiting = submit(running)
    with start(running) as second:
        until_paused(second)
        wait_for_turns(second, "intake", 2)
        assert job(running, waiting)["state"] == "queued"


def test_a_pause_outlives_a_lost_connection_to_redis(running: Running, worker: Worker) -> None:
    pause(running, worker)
    waiting = submit(running)
    with redis.Redis.from_url(running.redis_url) as client:
        client.client_kill_filter(_type="normal", skipme=True)
    wait_for_turns(worker, "intake", 3)
    assert job(running, waiting)["state"] == "queued"
    change(running, "resume")
    answered(running, waiting)


def test_a_draining_pool_completes_what_it_accepted_and_refuses_the_rest(running: Running, worker: Worker) -> None:
    first, second = (submit(running, row=(SLEEP, 1.0)) for _ in range(2))
    until_running(running, first)
    drained = change(running, "drain", reason=REASON)
    refused = httpx.post(f"{running.url}/v1/jobs", json={"model": MODEL, "inputs": [(0.0, 1.0)]})
    assert (refused.status_code, refused.json()["code"]) == (409, "pool_draining")
    assert refused.json()["detail"] == (
        f"Pool 'resting' accepts no new work: it has been draining since {drained['since']}, by an anonymous caller, "
        f"reason: {REASON}. Try again when the pool is resumed."
    )
    answered(running, first)
    answered(running, second)
    change(running, "resume")
    answered(running, submit(running))


def test_a_batch_in_a_paused_pool_waits_and_is_completed_when_the_pool_is_resumed(running: Running, worker: Worker) -> None:
    pause(running, worker)
    (running.folder / "tables" / "rested.csv").write_text("a,b\n" + "1,2\n" * 30)
    created = httpx.post(f"{running.url}/v1/batches", json={"model": MODEL, "input": "rested.csv"}, timeout=120)
    batch = f"{running.url}/v1/batches/{created.raise_for_status().json()['id']}"
    wait_for_turns(worker, "intake", 2)
    assert httpx.get(batch).json()["status"] == "validating"
    change(running, "resume")
    until(lambda: httpx.get(batch).json()["status"] == "completed", "the batch is completed")


def test_the_commands_of_the_page_work(running: Running, tmp_path: Path) -> None:
    (tmp_path / "celeriac").write_text(f'#!/bin/sh\nexec {sys.executable} -m app "$@"\n')
    (tmp_path / "celeriac").chmod(0o755)
    environment = running.environment | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CELERIAC_URL": running.url}
    states = []
    for commands in (block(PAGE, "pools pause", "sh"), block(PAGE, "pools drain", "sh")):
        done = subprocess.run(
            ["sh", "-ec", commands.replace(" default", f" {POOL}")], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        states += [line.split()[1] for line in done.stdout.splitlines() if line.split()[0] in (POOL, "state")]
    assert states == ["paused", "paused", "active", "draining", "draining", "active"]
