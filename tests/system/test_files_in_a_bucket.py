"""A system whose processes share Redis and a bucket, and no volume for files and large bodies."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import redis

from app.buckets import forking
from app.buckets.fork_safe import ForkSafeObjects
from app.buckets.objects import Objects
from app.cli import checks
from app.cli import redis_server as servers
from app.core.bucket_url import BucketURL
from app.samples.models import SAMPLES
from app.settings import Settings
from app.store import batches
from tests import tools
from tests.buckets import s3
from tests.gateways import Gateway, gateway
from tests.running import ROOT, Running, wait_until_ready
from tests.topologies import until

URL = "s3://data/team-a"
ROWS = 3000
LARGE = {"model": "diabetes", "inputs": (np.arange(10 * 400.0).reshape(400, 10) % 7 / 50).tolist()}


@dataclass(frozen=True)
class Platform:
    running: Running
    store: Gateway

    @property
    def url(self) -> str:
        return self.running.url

    def paths(self, folder: str) -> list[str]:
        return [entry.path for entry in Objects(BucketURL(URL)).list(f"{folder}/")]

    def logs(self) -> str:
        return "".join(path.read_text() for path in self.running.folder.glob("worker-*.log"))

    def upload(self, content: bytes, format: str = "parquet") -> str:
        answer = httpx.post(f"{self.url}/v1/files", files={"file": (f"rows.{format}", content)}, timeout=60)
        return str(answer.raise_for_status().json()["id"])

    def content(self, id: str, **headers: str) -> httpx.Response:
        return httpx.get(f"{self.url}/v1/files/{id}/content", headers=headers, timeout=60)

    def start_batch(self, file: str) -> dict[str, Any]:
        answer = httpx.post(f"{self.url}/v1/batches", json={"input": file, "model": "diabetes"}, timeout=60)
        return dict(answer.raise_for_status().json())

    def end(self, batch: dict[str, Any]) -> dict[str, Any]:
        with httpx.stream("GET", f"{self.url}/v1/batches/{batch['id']}/events", timeout=120) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    batch = json.loads(line[5:])
        return batch


@pytest.fixture(scope="module")
def platform(sample_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("bucket")
    with (
        s3(folder, "data") as server,
        gateway(urlsplit(server.url).port or 0) as store,
        servers.running(tools.redis_server(), folder) as redis_url,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in (server.environment | {"AWS_ENDPOINT_URL": store.url}).items():
            patch.setenv(name, value)
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "CELERIAC_REDIS_URL": redis_url,
            "CELERIAC_MODELS": str(sample_models),
            "CELERIAC_BLOBS": f"{URL}/blobs",
            "CELERIAC_BLOB_ABOVE_BYTES": "20000",
            "CELERIAC_FILES": URL,
            "CELERIAC_STATE": str(folder / "api"),
            "CELERIAC_DRAIN_TIMEOUT_S": "10",
        }
        system = Running("", sample_models, redis_url, environment, folder)
        with system.process("api") as (_, url), system.process("worker", processes=2, state=folder / "worker"):
            wait_until_ready(f"{url}/v2/models/diabetes/ready")
            yield Platform(Running(url, sample_models, redis_url, environment, folder), store)


@pytest.fixture(scope="module")
def table() -> tuple[bytes, list[int]]:
    """Rows as Parquet, and their ids."""
    values = np.random.default_rng(0).random((ROWS, 10)) / 10
    columns = {name: values[:, at] for at, name in enumerate(SAMPLES["diabetes"].data().columns)}
    file, ids = io.BytesIO(), list(range(ROWS))
    pq.write_table(pa.table({"id": ids} | columns), file, row_group_size=400)
    return file.getvalue(), ids


def test_large_inputs_and_results_travel_through_the_bucket(platform: Platform) -> None:
    job = httpx.post(f"{platform.url}/v1/jobs?wait=60", json=LARGE, timeout=90).json()
    assert (job["state"], len(job["result"])) == ("succeeded", 400)
    until(lambda: not platform.paths("blobs"), "the inputs of a job that has ended are removed")


def test_a_file_is_stored_once_and_downloaded_in_parts(platform: Platform) -> None:
    content = np.random.default_rng(0).bytes(15 << 20)
    id = platform.upload(content)
    assert sorted(platform.paths("files")) == [f"files/{id}/content", f"files/{id}/file.json"]
    whole = platform.content(id)
    assert (whole.content, whole.headers["content-length"]) == (content, str(len(content)))
    assert 'filename="rows.parquet"' in whole.headers["content-disposition"]
    for header, expected in (("bytes=5-9", content[5:10]), ("bytes=-3", content[-3:]), (f"bytes={len(content) - 2}-", content[-2:])):
        part = platform.content(id, range=header)
        assert (part.status_code, part.content) == (206, expected)
    beyond = platform.content(id, range=f"bytes={len(content)}-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(content)}")
    assert httpx.delete(f"{platform.url}/v1/files/{id}").is_success
    assert platform.content(id).status_code == 404
    assert platform.paths("files") == []


def test_a_batch_of_several_chunks_is_joined_in_the_bucket(platform: Platform, table: tuple[bytes, list[int]]) -> None:
    batch = platform.end(platform.start_batch(platform.upload(table[0])))
    assert batch["status"] == "completed", batch
    answers = pq.read_table(io.BytesIO(platform.content(batch["output_file_id"]).content))
    assert answers["id"].to_pylist() == table[1]
    with redis.Redis.from_url(platform.running.redis_url) as client:
        assert len(batches.read_parts(client, batch["id"])) > 1
    until(lambda: not platform.paths("batches"), "the parts of a batch that has ended are removed")


def test_a_bad_row_of_a_csv_file_is_in_the_error_file(platform: Platform, table: tuple[bytes, list[int]]) -> None:
    rows, file = pq.read_table(io.BytesIO(table[0])), io.BytesIO()
    pa.csv.write_csv(rows, file)
    content = file.getvalue() + b"bad" + b",0.1" * 9 + b",text\n"
    batch = platform.end(platform.start_batch(platform.upload(content, "csv")))
    assert (batch["status"], batch["request_counts"]["failed"]) == ("completed", 1), batch
    answers = pa.csv.read_csv(io.BytesIO(platform.content(batch["output_file_id"]).content))
    assert answers["id"].to_pylist() == table[1]
    [error] = map(json.loads, platform.content(batch["error_file_id"]).text.splitlines())
    assert error["row"] == ROWS


def test_the_doctor_writes_to_the_buckets(platform: Platform, tmp_path: Path) -> None:
    configured = Settings(models=tmp_path, state=tmp_path, blobs=BucketURL(f"{URL}/blobs"), files=BucketURL("s3://missing/files"))
    findings = {finding.what: finding for finding in checks.folders(configured)}
    assert findings["CELERIAC_BLOBS"].detail == f"{URL}/blobs can be read and written"
    assert findings["CELERIAC_FILES"].state == "wrong"
    assert "Create the bucket." in findings["CELERIAC_FILES"].detail


def test_a_process_that_forks_reads_writes_and_deletes(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "_forking", os.getpid())
    objects = ForkSafeObjects(BucketURL(f"{URL}/apart"))
    objects.upload("one", b"line\nline")
    answer = objects.read("one")
    assert answer is not None
    assert answer[0] == b"line\nline"
    objects.delete(["one"])
    assert objects.read("one") is None


def test_a_bucket_that_does_not_answer_for_a_while_loses_nothing(platform: Platform, table: tuple[bytes, list[int]]) -> None:
    file = platform.upload(table[0])
    httpx.post(f"{platform.url}/v1/models/diabetes/pause").raise_for_status()
    job = httpx.post(f"{platform.url}/v1/jobs", json=LARGE, timeout=60).raise_for_status().json()
    batch = platform.start_batch(file)
    platform.store.close()
    httpx.post(f"{platform.url}/v1/models/diabetes/resume").raise_for_status()
    refused = httpx.post(f"{platform.url}/v1/jobs", json=LARGE, timeout=60)
    assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
    assert platform.content(file).json()["code"] == "files_unavailable"
    until(lambda: "does not answer as expected" in platform.logs(), "the worker has failed to read the inputs")
    platform.store.open()
    ended = httpx.get(f"{platform.url}/v1/jobs/{job['id']}?wait=60", timeout=90).json()
    assert (ended["state"], ended["attempt"]) == ("succeeded", 1)
    assert platform.end(batch)["status"] == "completed"
