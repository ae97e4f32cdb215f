"""An API process on a repository with compiled models, in this process; its worker is a heartbeat in Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import redis
from sklearn.linear_model import LogisticRegression

from app.core.models import Manifest
from app.registry.repository import Repository
from app.runtime.publishing import publish
from app.settings import settings
from app.store import workers
from tests.api.conftest import running, until
from tests.sharing import made_once

COLUMNS = 4


def rows(count: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(count, COLUMNS))


def fitted(seed: int = 0) -> LogisticRegression:
    X = rows(60, seed)
    return LogisticRegression().fit(X, (X[:, seed % COLUMNS] > 0).astype(int))


def body(values: Any, **more: Any) -> dict[str, Any]:
    """A request of the Open Inference Protocol."""
    array = np.asarray(values)
    return {"inputs": [{"name": "input", "shape": list(array.shape), "datatype": "FP64", "data": array.ravel().tolist()}], **more}


def publish_compiled(folder: Path, name: str = "lr", seed: int = 0, **options: Any) -> Manifest:
    return publish(Repository(folder), fitted(seed), name, sample=rows(20, seed), format="onnx", **options)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a compiled model and one that is not compiled. Read only."""

    def write(folder: Path) -> None:
        publish_compiled(folder)
        publish(Repository(folder), fitted(), "plain", sample=rows(20))

    return made_once(tmp_path_factory, "compiled-models", write)


class Heartbeat:
    """A worker as the API knows it: a heartbeat."""

    def __init__(self, url: str) -> None:
        self.client = redis.Redis.from_url(url)

    def serves(self, *versions: tuple[str, str], refused: Iterable[tuple[str, str, str]] = ()) -> None:
        ready, reasons = [list(key) for key in versions], [list(entry) for entry in refused]
        workers.report(self.client, workers.Worker("default@host-1", "default", 1, time.time() + 3600, ready, [], reasons), [])


@pytest.fixture
def heartbeat(redis_url: str) -> Heartbeat:
    return Heartbeat(redis_url)


@pytest.fixture
def configured(redis_url: str, compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Settings for this test; more are set through the patch before `api` is asked for."""
    monkeypatch.setenv("CELERIAC_REDIS_URL", redis_url)
    monkeypatch.setenv("CELERIAC_MODELS", str(compiled))
    monkeypatch.setenv("CELERIAC_STATE", str(tmp_path / "state"))
    # A busy machine is not what these tests are about.
    monkeypatch.setenv("CELERIAC_DIRECT_MAX_MS", "1000")
    monkeypatch.setenv("CELERIAC_DIRECT_MAX_LAG_MS", "60000")
    monkeypatch.setenv("CELERIAC_INFER_TIMEOUT_S", "0.5")
    return monkeypatch


@asynccontextmanager
async def api_of(heartbeat: Heartbeat, *served: tuple[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    settings.cache_clear()
    heartbeat.serves(*served)
    try:
        async with running() as client:
            yield client
    finally:
        settings.cache_clear()


@pytest.fixture
async def api(configured: pytest.MonkeyPatch, heartbeat: Heartbeat) -> AsyncIterator[httpx.AsyncClient]:
    async with api_of(heartbeat, ("lr", "1"), ("plain", "1")) as client:
        yield client


async def lane_of(api: httpx.AsyncClient, name: str = "lr", version: str = "1") -> tuple[str, str]:
    state = (await api.get(f"/v1/models/{name}/versions/{version}")).json()
    return state["lane"], state["lane_reason"]


async def until_direct(api: httpx.AsyncClient, name: str = "lr", version: str = "1") -> None:
    async def direct() -> bool:
        return (await lane_of(api, name, version))[0] == "direct"

    await until(direct, f"{name}@{version} is on the direct lane")


async def infer(api: httpx.AsyncClient, values: Any, name: str = "lr", **more: Any) -> httpx.Response:
    return await api.post(f"/v2/models/{name}/infer", json=body(values, **more))


async def together(work: Callable[[int], Awaitable[Any]], count: int) -> list[Any]:
    return list(await asyncio.gather(*map(work, range(count))))
