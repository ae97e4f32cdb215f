"""The quota of run seconds: what is refused above it, what the response says, and which pools count."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import redis
from prometheus_client import REGISTRY

from app.core.deliveries import Outcome
from app.core.errors import PredictionFailed
from app.core.metering import Meter, UsageCollector
from app.core.models import Manifest
from app.core.quotas import DAY_S, until_midnight_s
from app.loops import Loop
from app.services.metering import UsageRecorder
from app.store import keys
from app.store.redis.client import connect_async
from tests.api.conftest import Worker
from tests.api.keys import bearer, bootstrap
from tests.api.owners import Owner, owned

pytestmark = pytest.mark.slow

REQUEST = b'{"custom_id":"1","method":"POST","url":"/v2/models/wine/infer","body":{"inputs":[]}}\n'
PIPELINE = """
inputs: [rows]
steps:
  cultivar: {model: wine, inputs: $inputs.rows}
output: $cultivar
"""
TRAINING = {"trainer": "ridge", "dataset": "rows.csv", "target": "y", "model": "fresh"}
LIMIT = "60"
SLACK_S = 60


def spend(worker: Worker, seconds: int, owner: str = "a") -> None:
    """Have an owner use run seconds, on both days, because a test may run at midnight."""
    day = int(time.time() // DAY_S)
    for spent in (day, day + 1):
        worker.client.hset(keys.run_seconds(spent), owner, 1000 * seconds)


async def used(owner: Owner) -> tuple[int, int]:
    (item,) = (await owner("GET", "/v1/limits"))["items"]
    assert (item["policy"], item["window_s"]) == ("owner_run_seconds_per_day", DAY_S)
    assert item["reset_s"] == pytest.approx(until_midnight_s(time.time()), abs=SLACK_S)
    return item["used"], item["limit"]


async def test_an_owner_above_its_run_seconds_is_refused(configured: pytest.MonkeyPatch, wine: dict[str, Any], worker: Worker) -> None:
    async with owned(configured, wine, limit_run_seconds_per_day=LIMIT) as owners:
        await owners.a.submit()
        spend(worker, 61)
        response = await owners.a.api.post("/v1/jobs", json={"model": "wine", "inputs": [wine]}, headers=bearer(owners.a.key))
        problem = response.json()
        assert (response.status_code, problem["code"], problem["policy"], problem["owner"]) == (
            429,
            "quota_exceeded",
            "owner_run_seconds_per_day",
            "a",
        )
        assert (problem["limit"], problem["used"], problem["window_s"]) == (60, 61, DAY_S)
        assert problem["reset_s"] == pytest.approx(until_midnight_s(time.time()), abs=SLACK_S)
        assert int(response.headers["retry-after"]) >= problem["reset_s"]
        assert response.headers["ratelimit-policy"] == '"owner_run_seconds_per_day";q=60;qu="seconds";w=86400'
        assert problem["detail"].startswith(
            "Owner 'a' may use 60 seconds of run time per UTC day, and has used 61. Try again after midnight"
        )
        await owners.b.submit()
        assert await used(owners.a) == (61, 60)


async def test_what_was_accepted_runs_and_counts(configured: pytest.MonkeyPatch, wine: dict[str, Any], worker: Worker) -> None:
    async with owned(configured, wine, limit_run_seconds_per_day=LIMIT) as owners:
        await owners.a.submit()
        delivery = worker.take()
        worker.client.hincrbyfloat(keys.delivery(delivery.id), "began", -1000)
        worker.finish(delivery, Outcome(delivery.jobs[0], error=PredictionFailed("it raised"), attempt=1))
        assert (await used(owners.a))[0] == pytest.approx(1000, abs=SLACK_S)
        await owners.a.submit(429)


async def test_every_kind_of_work_is_refused(configured: pytest.MonkeyPatch, wine: dict[str, Any], worker: Worker, tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "flow.yaml").write_text(PIPELINE)
    (tmp_path / "rows.csv").write_text("x,y\n1,2\n2,3\n")
    places = {"files": str(tmp_path), "file_roots": str(tmp_path), "pipelines": str(tmp_path / "pipelines")}
    async with owned(configured, wine, **places, limit_run_seconds_per_day=LIMIT) as owners:
        spend(worker, 60)
        file = (await owners.a("POST", "/v1/files", files={"file": ("rows.jsonl", REQUEST)}))["id"]
        batch = {"input_file_id": file, "endpoint": "/v2/models/wine/infer"}
        infer = {"inputs": [{"name": "input", "shape": [1, 64], "datatype": "FP64", "data": [0.0] * 64}]}
        refusals = {
            "/v1/batches": batch,
            "/v1/jobs": {"pipeline": "flow", "inputs": {"rows": [wine]}},
            "/v1/trainings": TRAINING,
            "/v2/models/digits/infer": infer,
        }
        _, key = await bootstrap(owner="a", scopes=["batch", "predict", "train"])
        caller = Owner(owners.a.api, key, wine)
        for path, body in refusals.items():
            problem = await caller("POST", path, 429, json=body)
            assert problem["code"] == "quota_exceeded", path


async def test_pools_that_are_not_named_do_not_count(configured: pytest.MonkeyPatch, wine: dict[str, Any], worker: Worker) -> None:
    async with owned(configured, wine, limit_run_seconds_per_day=LIMIT, run_seconds_pools="gpu") as owners:
        spend(worker, 60)
        await owners.a.submit()
        delivery = worker.take()
        assert not worker.client.hexists(keys.delivery(delivery.id), "rows_of")


async def test_an_owner_without_the_limit_is_not_refused_and_gets_no_header(
    configured: pytest.MonkeyPatch, wine: dict[str, Any], worker: Worker
) -> None:
    async with owned(configured, wine, limit_run_seconds_per_day=LIMIT, owner_limits="b=run_seconds_per_day:0") as owners:
        spend(worker, 60, "b")
        response = await owners.b.api.post("/v1/jobs", json={"model": "wine", "inputs": [wine]}, headers=bearer(owners.b.key))
        assert (response.status_code, "ratelimit" in response.headers) == (202, False)


async def test_what_a_process_has_measured_is_written(configured: pytest.MonkeyPatch, redis_url: str) -> None:
    usage = UsageCollector()
    for pool in ("gpu", "cpu"):
        usage.count(Manifest("m", "1", "onnx", "model.onnx", "", (), (), pool=pool), [("a", 1)], 2.5)
    async with connect_async() as client:
        await UsageRecorder(client, usage, Meter(0, 1, {}), "gpu".__eq__, Loop("usage")).flush()
    with redis.Redis.from_url(redis_url) as reading:
        (day,) = reading.scan_iter(keys.run_seconds("*"))
        assert reading.hgetall(day) == {b"a": b"2500"}


async def test_the_cost_of_what_a_process_has_measured_is_a_metric(configured: pytest.MonkeyPatch) -> None:
    del configured
    usage = UsageCollector()
    for pool in ("gpu", "cpu"):
        usage.count(Manifest("costly", "1", "onnx", "model.onnx", "", (), (), pool=pool), [("a", 1), ("b", 3)], 2.0)
    async with connect_async() as client:
        await UsageRecorder(client, usage, Meter(0, 1, {"gpu": 1800.0}), "gpu".__eq__, Loop("usage")).flush()
    counted = [REGISTRY.get_sample_value("celeriac_cost_total", {"pool": pool, "model": "costly"}) for pool in ("gpu", "cpu")]
    assert counted == [1.0, None]
