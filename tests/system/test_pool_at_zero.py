"""A pool without workers that a request wakes, as KEDA would: readiness, doctor, and the answer."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import redis

from app.cli import checks
from app.registry.repository import Repository
from app.store import keys
from tests.running import Running, wait_until_ready
from tests.topologies import until

pytestmark = pytest.mark.extended
PREFIX = "zero"


def test_a_pool_at_zero_is_ready_and_answers(running: Running, tmp_path: Path) -> None:
    """A key prefix of its own makes a system without workers of the Redis of another."""
    models = tmp_path / "models"
    for name in ("moody", "orphan"):
        shutil.copytree(running.models / name, models / name)
    own = {"key_prefix": PREFIX, "state": tmp_path / "state", "models": models}
    with running.process("api", autoscaled_pools="default, nobody", infer_timeout_s=170, **own) as (_, url):
        assert httpx.get(f"{url}/v2/health/ready").json() == {"ready": True, "live": True}
        wait_until_ready(f"{url}/v2/models/moody/ready")
        findings = list(checks.models(url, Repository(models)))
        assert {finding.what: finding.detail for finding in findings if finding.state == "wrong"} == {}
        assert "pool default" in {finding.what for finding in findings if finding.state == "ok"}
        body = {"inputs": [{"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [0, 0]}]}
        with ThreadPoolExecutor(1) as caller:
            answer = caller.submit(httpx.post, f"{url}/v2/models/moody/infer", json=body, timeout=200)
            with redis.Redis.from_url(running.redis_url) as client:
                waiting = keys.list_of("default").replace(keys.PREFIX, f"{PREFIX}:")
                until(lambda: client.llen(waiting) == 1, "the request waits in the list that KEDA reads")
            with running.process("worker", **own):
                assert answer.result(200).status_code == 200
