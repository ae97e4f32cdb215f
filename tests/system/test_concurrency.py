"""Concurrency keys in a running system: a worker of two processes, and jobs whose end a test decides."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import celeriac
import httpx
import numpy as np
import pytest

from app.registry.repository import Repository
from app.runtime.publishing import publish
from tests.documentation.blocks import block
from tests.misbehaving import SLEEP, WELL, Moody
from tests.running import ROOT, Running
from tests.topologies import until

PAGE = "docs/how-to/concurrency.md"
POOL = "keyed"
MODEL = "keeper"
ENDLESS_S = 50


@pytest.fixture(scope="module", autouse=True)
def worker(running: Running) -> Iterator[None]:
    publish(Repository(running.models), Moody(), MODEL, sample=np.zeros((3, 2)), format="joblib", pool=POOL, time_limit_s=60)
    with running.process("worker", pool=POOL, processes=2, cancel_grace_s=0.5):
        until(lambda: httpx.get(f"{running.url}/v2/models/{MODEL}/ready").status_code == 200, "the model is served")
        yield


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    return f"test:{request.node.name.partition('[')[0]}"


def post(running: Running, key: str, on_full: str = "queue", seconds: float = 0, limit: int = 1, **more: Any) -> httpx.Response:
    body = {
        "model": MODEL,
        "inputs": [[SLEEP if seconds else WELL, seconds]],
        "concurrency": {"key": key, "limit": limit, "on_full": on_full},
    }
    return httpx.post(f"{running.url}/v1/jobs", json=body | more, params={"wait": 0})


def submit(running: Running, key: str, on_full: str = "queue", seconds: float = 0, **more: Any) -> str:
    return str(post(running, key, on_full, seconds, **more).raise_for_status().json()["id"])


def job(running: Running, id: str, wait_s: float = 0) -> dict[str, Any]:
    return dict(httpx.get(f"{running.url}/v1/jobs/{id}", params={"wait": wait_s}, timeout=120).json())


def until_running(running: Running, id: str) -> None:
    until(lambda: job(running, id)["state"] == "running", "the job runs")


def cancel(running: Running, id: str) -> None:
    httpx.delete(f"{running.url}/v1/jobs/{id}").raise_for_status()


def test_one_customer_runs_one_job_while_another_is_served(running: Running, key: str) -> None:
    first = submit(running, key, seconds=ENDLESS_S)
    until_running(running, first)
    second = submit(running, key)
    assert job(running, submit(running, f"{key}:other"), 60)["state"] == "succeeded"
    found = job(running, second)
    assert (found["state"], found["queue_position"], found["concurrency_key"]) == ("queued", 1, key)
    assert found["waits_for"] == f"Concurrency key {key!r} has its limit of jobs. The job waits until one of them has ended."
    cancel(running, first)
    assert job(running, second, 60)["state"] == "succeeded"


def test_jobs_of_a_key_run_in_the_order_of_their_submission(running: Running, key: str) -> None:
    first = submit(running, key, seconds=ENDLESS_S)
    ids = [submit(running, key) for _ in range(5)]
    cancel(running, first)
    ended = [job(running, id, 60) for id in ids]
    assert [found["state"] for found in ended] == ["succeeded"] * 5
    assert all(before["finished_at"] <= after["started_at"] for before, after in pairwise(ended))


def test_search_as_you_type_answers_the_last_submission_and_frees_the_process(running: Running, key: str) -> None:
    first = submit(running, key, "cancel_running", ENDLESS_S)
    until_running(running, first)
    second = submit(running, key, "cancel_running", ENDLESS_S)
    until_running(running, second)
    third = submit(running, key, "cancel_running")
    assert job(running, third, 60)["state"] == "succeeded"
    assert [job(running, id)["state"] for id in (first, second)] == ["cancelled", "cancelled"]
    assert job(running, second)["reason"] == f"Job {third}, which has the same concurrency key {key!r}, replaced this one."
    # Both processes are free.
    both = [submit(running, f"{key}:{number}", seconds=ENDLESS_S) for number in range(2)]
    for id in both:
        until_running(running, id)
    for id in both:
        cancel(running, id)


def test_a_caller_who_waits_learns_that_its_job_was_replaced(running: Running, key: str) -> None:
    first = submit(running, key, seconds=ENDLESS_S)
    until_running(running, first)
    with httpx.stream("GET", f"{running.url}/v1/jobs/{first}/events", timeout=120) as events:
        lines = events.iter_lines()
        next(lines)
        submit(running, key, "cancel_running")
        assert '"state":"cancelled"' in next(line for line in lines if '"state":"cancelled"' in line)


def test_refuse_names_the_job_that_has_the_slot(running: Running, key: str) -> None:
    first = submit(running, key, seconds=ENDLESS_S)
    refused = post(running, key, "refuse")
    cancel(running, first)
    assert (refused.status_code, refused.json()["code"]) == (409, "concurrency_limit_reached")
    assert refused.json()["detail"] == (
        f"Concurrency key {key!r} has its limit of 1 job: {first}. Try again when one has ended, or submit with another on_full."
    )


def test_cancel_newest_cancels_the_new_job(running: Running, key: str) -> None:
    first = submit(running, key, seconds=ENDLESS_S)
    found = post(running, key, "cancel_newest").json()
    cancel(running, first)
    assert (found["state"], found["reason"]) == ("cancelled", f"Concurrency key {key!r} had its limit of 1 job.")


def test_a_repeated_request_gets_the_job_of_the_first(running: Running, key: str) -> None:
    body = {"model": MODEL, "inputs": [[SLEEP, ENDLESS_S]], "concurrency": {"key": key, "on_full": "refuse"}}
    first, second = (httpx.put(f"{running.url}/v1/jobs/repeated-concurrency", json=body) for _ in range(2))
    cancel(running, first.json()["id"])
    assert (first.status_code, second.status_code) == (202, 202)


def test_jobs_that_are_held_back_do_not_count_as_waiting_in_the_pool(running: Running, key: str) -> None:
    first = submit(running, key, seconds=ENDLESS_S)
    until_running(running, first)
    held = [submit(running, key) for _ in range(3)]
    [pool] = [pool for pool in httpx.get(f"{running.url}/v1/pools").json()["items"] if pool["pool"] == POOL]
    assert (pool["held_back"], pool["waiting"]) == (3, {"priority": 0, "interactive": 0, "bulk": 0, "flex": 0})
    for id in (*held, first):
        cancel(running, id)


def test_a_job_that_is_held_back_expires(running: Running, key: str) -> None:
    first = submit(running, key, seconds=ENDLESS_S)
    second = submit(running, key, deadline_s=0.01)
    until(lambda: job(running, second)["state"] == "expired", "the job expires")
    cancel(running, first)


@pytest.mark.parametrize(
    ("concurrency", "pointer"),
    [
        ({"key": "no spaces"}, "/concurrency/key"),
        ({"key": "k" * 129}, "/concurrency/key"),
        ({"key": "k", "limit": 0}, "/concurrency/limit"),
        ({"key": "k", "on_full": "wait"}, "/concurrency/on_full"),
        ({"limit": 1}, "/concurrency/key"),
    ],
)
def test_an_invalid_concurrency_key_names_the_field(running: Running, concurrency: dict[str, Any], pointer: str) -> None:
    refused = httpx.post(f"{running.url}/v1/jobs", json={"model": MODEL, "inputs": [[0, 0]], "concurrency": concurrency})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)


def test_a_table_has_its_concurrency_key_in_the_query(running: Running, key: str) -> None:
    first = submit(running, key, seconds=ENDLESS_S)
    query = {"model": MODEL, "concurrency_key": key, "on_full": "refuse", "header": "false"}
    refused = httpx.post(f"{running.url}/v1/jobs/table", params=query, content=b"0.0,0.0\n", headers={"content-type": "text/csv"})
    cancel(running, first)
    assert refused.json()["code"] == "concurrency_limit_reached"


@pytest.mark.parametrize(("name", "value"), [("concurrency_limit", "2"), ("on_full", "refuse")])
def test_what_limits_no_key_is_refused(running: Running, tmp_path: Path, name: str, value: str) -> None:
    query = {"model": MODEL, "header": "false", name: value}
    refused = httpx.post(f"{running.url}/v1/jobs/table", params=query, content=b"0.0,0.0\n", headers={"content-type": "text/csv"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, f"/{name}")
    (tmp_path / "rows.json").write_text("[[0, 0]]")
    option = f"--{name.replace('_', '-')}"
    line = [sys.executable, "-m", "app", "predict", MODEL, "--data", str(tmp_path / "rows.json"), option, value, "--url", running.url]
    done = subprocess.run(line, cwd=ROOT, env=running.environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, f"error: {option} limits the jobs of a concurrency key. Give --concurrency-key, too.\n")


def test_the_client_sends_a_concurrency_key(running: Running, key: str) -> None:
    with celeriac.Client(running.url) as client:
        first = client.submit(MODEL, [[SLEEP, ENDLESS_S]], concurrency={"key": key})
        second = client.submit(MODEL, [[WELL, 0]], concurrency={"key": key, "on_full": "cancel_running"})
        assert second.result(60) == [0.0]
        assert first.refresh().state == "cancelled"


def test_the_commands_of_the_page(running: Running, tmp_path: Path) -> None:
    (tmp_path / "celeriac").write_text(f'#!/bin/sh\nexec {sys.executable} -m app "$@"\n')
    (tmp_path / "celeriac").chmod(0o755)
    environment = running.environment | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CELERIAC_URL": running.url}
    commands = block(PAGE, "celeriac predict", "sh").replace("http://", "").replace("localhost:8000", running.url)
    done = subprocess.run(["sh", "-ec", commands], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"concurrency_key":"customer:42"' in done.stdout
    assert "diabetes@" in done.stdout


def test_the_python_of_the_page(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    exec(block(PAGE, "client.submit").replace("http://localhost:8000", running.url), {})
    assert capsys.readouterr().out.startswith("[")
