"""The whole platform behind sentinels: the master dies under it, and continues elsewhere."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests.misbehaving import SLEEP
from tests.running import Running
from tests.topologies import Watched, until, watched

PASSWORD = "s3cret"
pytestmark = pytest.mark.extended


def replicated(redis_: Watched) -> None:
    with redis.Redis(port=redis_.master, password=PASSWORD) as master:
        assert master.wait(1, 10_000) == 1, "the replica has what the master has"


def asked(url: str, path: str, body: Any = None) -> Any:
    """The job; while the master is missing the answer is 503, and the caller tries again."""
    end = time.monotonic() + 60
    while True:
        with httpx.Client(base_url=url, timeout=30) as client:
            answer = client.post(path, json=body) if body else client.get(path)
        if answer.status_code in (200, 202):
            return answer.json()
        assert answer.status_code == 503, answer.text
        assert time.monotonic() < end, answer.text
        time.sleep(0.2)  # a failover sends no event


def ended(url: str, id: str) -> Any:
    until(lambda: asked(url, f"/v1/jobs/{id}?wait=5")["state"] not in ("queued", "running"), "the end of a job", 60)
    return asked(url, f"/v1/jobs/{id}")


def test_what_was_replicated_is_answered_after_a_failover(running: Running, tmp_path: Path) -> None:
    with watched(tmp_path, password=PASSWORD) as redis_:
        own = {"CELERIAC_REDIS_URL": redis_.url, "CELERIAC_STATE": str(tmp_path / "state")}
        here = Running("", running.models, redis_.url, running.environment | own, tmp_path)
        with here.process("worker") as (worker, _), here.process("api") as (api, url):
            before = asked(url, "/v1/jobs?wait=20", {"model": "moody", "inputs": [[0, 1]]})
            waiting = [asked(url, "/v1/jobs", {"model": "moody", "inputs": [[SLEEP, 1 + at / 10]]})["id"] for at in range(6)]
            replicated(redis_)
            redis_.kill_master()
            jobs = [ended(url, id) for id in [before["id"], *waiting]]
            assert [job["state"] for job in jobs] == ["succeeded"] * 7, jobs
            assert jobs[0] == before
            after = asked(url, "/v1/jobs", {"model": "moody", "inputs": [[0, 2]]})
            assert ended(url, after["id"])["result"] == [2.0]
            assert worker.poll() is None
            assert api.poll() is None
        assert (worker.returncode, api.returncode) == (0, 0)
