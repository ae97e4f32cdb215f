"""Large jobs pass by the folder of blobs, and leave nothing there but their results."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from app.store import keys
from tests.running import ROOT, Running, wait_until_ready
from tests.topologies import until

ROWS = 200
LARGE = {"model": "diabetes", "inputs": [[0.01 * row] * 10 for row in range(ROWS)]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def platform(redis_url: str, sample_models: Path, folder: Path, tmp_path: Path) -> Iterator[Running]:
    """An API that keeps bodies above 1000 bytes as blobs, at most 50000 bytes of them. No worker yet."""
    own = {"MODELS": sample_models, "STATE": tmp_path, "REDIS_URL": redis_url, "BLOBS": folder, "BLOB_ABOVE_BYTES": 1000}
    environment = os.environ | {f"CELERIAC_{name}": str(value) for name, value in (own | {"MAX_BLOB_BYTES": 50000}).items()}
    here = Running("", sample_models, redis_url, environment | {"PYTHONPATH": str(ROOT)}, tmp_path)
    with here.process("api") as (_, url):
        until(lambda: httpx.get(f"{url}/v1/models/diabetes").status_code == 200, "the model is known")
        yield Running(url, sample_models, redis_url, here.environment, tmp_path)


def submit(platform: Running) -> dict[str, Any]:
    answer = httpx.post(f"{platform.url}/v1/jobs", json=LARGE, timeout=30)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def read(platform: Running, job: dict[str, Any]) -> dict[str, Any]:
    return dict(httpx.get(f"{platform.url}/v1/jobs/{job['id']}?wait=30", timeout=60).json())


def test_body_and_result_of_a_large_job_pass_by_redis(platform: Running, folder: Path) -> None:
    job = submit(platform)
    (body,) = folder.iterdir()
    assert body.stat().st_size > ROWS * 80
    with redis.Redis.from_url(platform.redis_url) as client:
        (delivery,) = client.scan_iter(keys.delivery("*"))
        assert len(client.hget(delivery, "body")) < 1000
        with platform.process("worker"):
            ended = read(platform, job)
            assert ended["state"] == "succeeded"
            assert len(ended["result"]) == ROWS
            until(lambda: not body.exists(), "the body is gone with the job")
        assert len(client.hget(keys.job(job["id"]), "result")) < 1000
    listed = httpx.get(f"{platform.url}/v1/jobs").json()["items"]
    assert [one["result_omitted"] for one in listed] == [True]


@pytest.mark.extended
def test_a_large_synchronous_prediction_leaves_nothing(platform: Running, folder: Path) -> None:
    tensor = {"name": "input", "shape": [ROWS, 10], "datatype": "FP64", "data": LARGE["inputs"]}
    with platform.process("worker"):
        wait_until_ready(f"{platform.url}/v2/models/diabetes/ready")
        answer = httpx.post(f"{platform.url}/v2/models/diabetes/infer", json={"inputs": [tensor]}, timeout=60)
        assert answer.status_code == 200, answer.text
        assert answer.json()["outputs"][0]["shape"] == [ROWS]
        until(lambda: not any(folder.iterdir()), "body and reply are gone")


def test_a_full_folder_refuses_large_jobs_and_takes_small_ones(platform: Running) -> None:
    answers = [httpx.post(f"{platform.url}/v1/jobs", json=LARGE).status_code for _ in range(5)]
    assert answers[:3] == [202, 202, 202]
    assert answers[-1] == 429
    refused = httpx.post(f"{platform.url}/v1/jobs", json=LARGE)
    assert "the limit is 50000" in refused.json()["detail"]
    assert refused.headers["retry-after"] == "5"
    small = {"model": "diabetes", "inputs": LARGE["inputs"][:1]}
    assert httpx.post(f"{platform.url}/v1/jobs", json=small).status_code == 202


@pytest.mark.extended
def test_a_job_whose_input_is_lost_fails_and_says_so(platform: Running, folder: Path) -> None:
    job = submit(platform)
    next(folder.iterdir()).unlink()
    with platform.process("worker"):
        ended = read(platform, job)
    assert (ended["state"], ended["error"]["code"]) == ("failed", "payload_lost")


@pytest.mark.extended
def test_what_steps_answer_passes_by_redis_too(platform: Running, folder: Path) -> None:
    pipelines = platform.models / ".pipelines"
    pipelines.mkdir()
    try:
        (pipelines / "echo.yaml").write_text(
            "inputs: [text]\n"
            "steps:\n"
            "  first: {run: note, inputs: {text: $inputs.text}}\n"
            "  second: {run: note, inputs: {text: $first}}\n"
            "output: $second\n"
        )
        with platform.process("worker", imports="tests.stepping"):
            body = {"pipeline": "echo", "inputs": {"text": "long " * 1000}}
            ended = read(platform, httpx.post(f"{platform.url}/v1/jobs", json=body).json())
        assert ended["result"] == "long " * 1000
        with redis.Redis.from_url(platform.redis_url) as client:
            kept = [client.hget(keys.pipeline(ended["id"]), "inputs")]
            kept += [client.hget(keys.job(id), "result") for id in (ended["id"], f"{ended['id']}-first", f"{ended['id']}-second")]
        assert all(len(one) < 1000 for one in kept)
    finally:
        shutil.rmtree(pipelines)
