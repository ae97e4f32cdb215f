"""A model that is paused and resumed in a running system. Another model of its pool answers meanwhile, from the same process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.registry.repository import Repository
from app.runtime.publishing import publish
from tests.documentation.blocks import block
from tests.misbehaving import SLEEP, Moody
from tests.running import ROOT, Running
from tests.topologies import until

PAGE = "docs/how-to/pause.md"
POOL = "shared"
MODEL, OTHER = "pausable", "neighbor"
REASON = "wrong labels"


@pytest.fixture(scope="module")
def worker(running: Running) -> Iterator[str]:
    """The URL of the only worker of the pool, which has one process."""
    for name in (MODEL, OTHER):
        publish(Repository(running.models), Moody(), name, sample=np.zeros((3, 2)), format="joblib", pool=POOL, time_limit_s=60)
    with running.process("worker", pool=POOL, processes=1) as (_, url):
        for name in (MODEL, OTHER):
            until(lambda name=name: httpx.get(f"{running.url}/v2/models/{name}/ready").status_code == 200, "the model is served")  # type: ignore[misc]
        yield url


@pytest.fixture(autouse=True)
def active(running: Running, worker: str) -> Iterator[None]:
    """The model is not paused before and after each test, and nothing waits."""
    yield
    change(running, "resume")
    until(lambda: not any(pool(running)["waiting"].values()) and not pool(running)["running"], "the pool is empty")


def change(running: Running, verb: str, **body: str) -> Any:
    return httpx.post(f"{running.url}/v1/models/{MODEL}/{verb}", json=body).raise_for_status().json()["pause"]


def pool(running: Running) -> dict[str, Any]:
    [shown] = [item for item in httpx.get(f"{running.url}/v1/pools").json()["items"] if item["pool"] == POOL]
    return dict(shown)


def submit(running: Running, model: str = MODEL, row: tuple[float, float] = (0.0, 1.0)) -> str:
    return str(httpx.post(f"{running.url}/v1/jobs", json={"model": model, "inputs": [row]}).raise_for_status().json()["id"])


def ended(running: Running, id: str) -> dict[str, Any]:
    job = dict(httpx.get(f"{running.url}/v1/jobs/{id}?wait=60", timeout=120).json())
    assert job["state"] == "succeeded", job
    return job


def job(running: Running, id: str) -> dict[str, Any]:
    return dict(httpx.get(f"{running.url}/v1/jobs/{id}").json())


def until_running(running: Running, id: str) -> None:
    until(lambda: job(running, id)["state"] == "running", "the job runs")


def waiting(running: Running) -> int:
    return int(httpx.get(f"{running.url}/v1/models/{MODEL}").json()["pause"]["waiting"])


def create_batch(running: Running, model: str) -> str:
    table = running.folder / "tables" / f"{model}.csv"
    table.write_text("a,b\n" + "0,2\n" * 30)
    created = httpx.post(f"{running.url}/v1/batches", json={"model": model, "input": table.name}, timeout=120)
    return f"{running.url}/v1/batches/{created.raise_for_status().json()['id']}"


def test_jobs_of_a_paused_model_wait_while_another_model_of_the_pool_answers(running: Running) -> None:
    paused = change(running, "pause", reason=REASON)
    waits = submit(running)
    # They enter the queue later, and the pool has one process.
    for _ in range(3):
        ended(running, submit(running, OTHER))
    found = job(running, waits)
    assert (found["state"], found["attempt"], "estimated_start_s" in found) == ("queued", 0, False)
    assert found["waits_for"] == (
        f"Model 'pausable' starts no new work: it has been paused since {paused['since']}, by an anonymous caller, reason: {REASON}. "
        "Work waits until the model is resumed."
    )
    # An autoscaler would start pods for what cannot run.
    until(lambda: not any(pool(running)["waiting"].values()), "nothing waits in the queues")
    change(running, "resume")
    assert ended(running, waits)["attempt"] == 1


def test_what_is_in_the_queue_does_not_start_and_what_runs_is_completed(running: Running) -> None:
    runs = submit(running, row=(SLEEP, 3.0))
    until_running(running, runs)
    queued = [submit(running) for _ in range(3)]
    change(running, "pause")
    after = submit(running, OTHER)
    assert ended(running, runs)["attempt"] == 1
    ended(running, after)
    assert [(job(running, id)["state"], job(running, id)["attempt"]) for id in queued] == [("queued", 0)] * 3
    change(running, "resume")
    assert [ended(running, id)["attempt"] for id in queued] == [1] * 3


def test_a_caller_whose_synchronous_request_is_in_the_queue_is_refused_when_its_turn_comes(running: Running) -> None:
    busy = submit(running, OTHER, row=(SLEEP, 3.0))
    until_running(running, busy)
    body = {"inputs": [{"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [0.0, 1.0]}]}
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(httpx.post, f"{running.url}/v2/models/{MODEL}/infer", json=body, timeout=60)
        until(lambda: pool(running)["waiting"]["interactive"] == 1, "the request is in the queue")
        change(running, "pause")
        response = answer.result()
    assert (response.status_code, response.json()["code"]) == (503, "model_paused")
    assert int(response.headers["retry-after"]) > 0
    refused = httpx.post(f"{running.url}/v2/models/{MODEL}/infer", json=body)
    assert (refused.status_code, refused.json()["code"]) == (503, "model_paused")


def test_many_jobs_around_a_pause_run_once_each(running: Running) -> None:
    jobs = [submit(running, row=(0.0, float(at))) for at in range(30)]
    change(running, "pause")
    jobs += [submit(running, row=(0.0, float(at))) for at in range(30, 60)]
    change(running, "resume")
    change(running, "pause")
    change(running, "resume")
    found = [ended(running, id) for id in jobs]
    assert [(item["attempt"], item["result"]) for item in found] == [(1, [float(at)]) for at in range(60)]


def test_a_batch_of_a_paused_model_leaves_the_pool_to_other_batches(running: Running) -> None:
    # The process is busy, so that the first task of the batch is in the queue when the model is paused.
    until_running(running, submit(running, OTHER, row=(SLEEP, 10.0)))
    with ThreadPoolExecutor() as threads:
        created = threads.submit(create_batch, running, MODEL)
        until(lambda: pool(running)["waiting"]["bulk"] == 1, "the first task of the batch is in the queue")
        change(running, "pause")
        other = create_batch(running, OTHER)
        paused = created.result()
    until(lambda: httpx.get(other).json()["status"] == "completed", "the batch of the other model is completed")
    assert httpx.get(paused).json()["status"] == "validating"
    change(running, "resume")
    until(lambda: httpx.get(paused).json()["status"] == "completed", "the batch is completed")
    assert httpx.get(paused).json()["request_counts"]["completed"] == 30


def test_a_pause_outlives_restarts_of_the_api_and_of_workers(running: Running) -> None:
    paused = change(running, "pause", reason=REASON)
    waits = submit(running)
    with running.process("api") as (_, url), running.process("worker", pool=POOL, processes=1):
        assert httpx.get(f"{url}/v1/models/{MODEL}").json()["pause"] == {**paused, "waiting": 1}
        ended(running, submit(running, OTHER))
        assert job(running, waits)["state"] == "queued"
        httpx.post(f"{url}/v1/models/{MODEL}/resume").raise_for_status()
        assert ended(running, waits)["attempt"] == 1


def test_the_commands_of_the_page_work(running: Running, tmp_path: Path) -> None:
    (tmp_path / "celeriac").write_text(f'#!/bin/sh\nexec {sys.executable} -m app "$@"\n')
    (tmp_path / "celeriac").chmod(0o755)
    environment = running.environment | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CELERIAC_URL": running.url}
    commands = block(PAGE, "models pause", "sh").replace("digits", MODEL)
    done = subprocess.run(["sh", "-ec", commands], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines() if line.split()[:1] == ["state"]] == ["paused", "active"]
    assert "READY (paused)" in done.stdout
