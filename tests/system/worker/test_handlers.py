"""Work that is not a prediction has all that a prediction has."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis.asyncio

from app.broker import submission
from app.core.models import RetryPolicy
from app.settings import settings
from tests.running import Running

POOL = "working"
Submitted = Callable[..., str]
"""Submits a spec, and more of a `Submission`; gives the id."""


@pytest.fixture(scope="module")
def worker(running: Running) -> Iterator[None]:
    with running.process("worker", "tests.working", pool=POOL, processes=1):
        yield


@pytest.fixture
def submitted(running: Running, worker: None) -> Submitted:
    async def submit(spec: dict[str, Any], more: dict[str, Any]) -> str:
        async with redis.asyncio.Redis.from_url(running.redis_url) as client:
            id, new = await submission.submit(client, settings(), submission.Submission("test", spec, POOL, **more))
        assert new
        return id

    return lambda spec, **more: asyncio.run(submit(spec, more))


def ended(running: Running, id: str) -> dict[str, Any]:
    return dict(httpx.get(f"{running.url}/v1/jobs/{id}?wait=30", timeout=40).json())


def test_it_answers_with_what_it_returns(running: Running, submitted: Submitted) -> None:
    job = ended(running, submitted({"answer": 42}))
    assert (job["state"], job["kind"], job["result"]) == ("succeeded", "test", {"answer": 42, "attempt": 1})


def test_it_is_tried_again_when_its_worker_dies(running: Running, submitted: Submitted, tmp_path: Path) -> None:
    job = ended(running, submitted({"answer": 1, "dies_once_beside": str(tmp_path / "died")}))
    assert job["result"] == {"answer": 1, "attempt": 2}


def test_what_it_raises_is_reported_and_leaves_no_dead_letter(running: Running, submitted: Submitted) -> None:
    id = submitted({"raises": "no such column"})
    job = ended(running, id)
    assert (job["state"], job["error"]) == ("failed", {"code": "work_failed", "detail": "ValueError: no such column"})
    assert httpx.get(f"{running.url}/v1/dead-letters/{id}").status_code == 404


def test_its_progress_is_seen_while_it_runs(running: Running, submitted: Submitted, tmp_path: Path) -> None:
    id = submitted({"progress": [0.25], "until": str(tmp_path / "go")})
    while (job := httpx.get(f"{running.url}/v1/jobs/{id}").json()).get("progress") is None:
        time.sleep(0.02)  # it is told by another process
    (tmp_path / "go").touch()
    assert job["progress"] == {"fraction": 0.25, "text": "25%"}
    assert ended(running, id)["state"] == "succeeded"


def test_it_is_stopped_by_its_time_limit(running: Running, submitted: Submitted, tmp_path: Path) -> None:
    spec = {"until": str(tmp_path / "never")}
    job = ended(running, submitted(spec, limit_s=0.5, retries=RetryPolicy(max_attempts=1)))
    assert job["error"]["code"] == "time_limit_exceeded"


def test_it_is_stopped_by_its_caller(running: Running, submitted: Submitted, tmp_path: Path) -> None:
    id = submitted({"until": str(tmp_path / "never")})
    while httpx.get(f"{running.url}/v1/jobs/{id}").json()["state"] != "running":
        time.sleep(0.02)
    assert httpx.delete(f"{running.url}/v1/jobs/{id}").json()["state"] == "cancelled"
    # The process is free again.
    assert ended(running, submitted({"answer": 2}))["result"]["answer"] == 2
