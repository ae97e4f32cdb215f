"""A system whose models are in a bucket: no volume is shared between its processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import celeriac
import httpx
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from app.cli import redis_server as servers
from app.core.bucket_url import BucketURL
from app.core.routes import Route
from app.registry.bucket.repository import BucketRepository
from app.registry.repository import Repository
from tests import tools
from tests.buckets import S3, copy_version, s3
from tests.running import ROOT, Running, wait_until_ready
from tests.topologies import until

URL = "s3://models/team-a"
X = np.arange(20.0).reshape(10, 2)
ROW = [[4.0, 5.0]]


@dataclass(frozen=True)
class Platform:
    """`repository` is that of another machine, which notifies nobody."""

    running: Running
    store: S3
    repository: BucketRepository
    worker: str

    def double(self, factor: float) -> LinearRegression:
        return LinearRegression().fit(X, factor * X[:, 0])

    def predict(self, model: str, rows: list[list[float]]) -> list[float]:
        with celeriac.Client(self.running.url) as client:
            return [float(value) for value in client.predict(model, np.array(rows))]


@pytest.fixture(scope="module")
def platform(sample_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("bucket")
    with (
        s3(folder, "models") as store,
        servers.running(tools.redis_server(), folder) as redis_url,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in store.environment.items():
            patch.setenv(name, value)
        repository = BucketRepository(BucketURL(URL), folder / "elsewhere", 1 << 30)
        copy_version(Repository(sample_models), repository, "wine")
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "CELERIAC_REDIS_URL": redis_url,
            "CELERIAC_MODELS": URL,
            "CELERIAC_STATE": str(folder / "api"),
            "CELERIAC_SCAN_INTERVAL_S": "0.5",
            "CELERIAC_DRAIN_TIMEOUT_S": "10",
        }
        system = Running("", folder, redis_url, environment, folder)
        with system.process("api") as (_, url), system.process("worker", processes=1, state=folder / "worker") as (_, worker):
            wait_until_ready(f"{url}/v2/models/wine/ready")
            yield Platform(Running(url, folder, redis_url, environment, folder), store, repository, worker)


def test_a_version_of_another_machine_is_downloaded_and_answers(platform: Platform) -> None:
    models = httpx.get(f"{platform.running.url}/v1/models").json()
    assert models["repository"] == URL
    assert [model["name"] for model in models["items"]] == ["wine"]
    metrics = httpx.get(f"{platform.worker}/metrics").text
    assert "celeriac_model_pull_seconds_count 1.0" in metrics


def test_versions_are_published_over_the_api_and_an_alias_moves(platform: Platform) -> None:
    with celeriac.Client(platform.running.url) as client:
        for factor in (2.0, 3.0):
            client.models.publish("times", platform.double(factor), sample=X[:3], alias="production")
            expected = pytest.approx([4 * factor])
            until(partial(_answers, platform, expected), "the alias has moved")
    platform.repository.refresh()
    assert platform.repository.versions("times") == ["1", "2"]
    until(lambda: _settled(platform), "the worker has settled the promotion in the bucket")
    assert platform.predict("times@1", ROW) == pytest.approx([8]), "a pool process downloads what the worker does not hold"


def _answers(platform: Platform, expected: object) -> bool:
    return platform.predict("times@production", ROW) == expected


def _settled(platform: Platform) -> bool:
    platform.repository.refresh()
    return platform.repository.pointers("times") == ({"production": Route("2")}, {})


def test_a_store_that_is_gone_stops_no_prediction_and_refuses_publications(platform: Platform, tmp_path: Path) -> None:
    """It is the last test of the file: the server of the bucket does not come back."""
    platform.store.kill()
    assert platform.predict("times", ROW) == pytest.approx([12])
    refused = pytest.raises(celeriac.APIError, match="does not answer as expected")
    with celeriac.Client(platform.running.url, max_retries=0) as client, refused as caught:
        client.models.publish("times", platform.double(4), sample=X[:3])
    assert caught.value.code == "model_store_unavailable"
