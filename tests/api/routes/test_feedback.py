"""/v1/feedback and /v1/models/{name}/quality."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from prometheus_client import REGISTRY
from sklearn.linear_model import LogisticRegression

from app.core.capture import Capture
from app.core.captured_jobs import CaptureBuffer
from app.core.models import Manifest
from app.core.tensors import Tensor, encode
from app.data import captured
from app.registry.repository import Repository
from app.runtime.publishing import publish
from app.settings import settings
from app.store import keys
from app.store.files import captures
from tests.api.conftest import Worker, running, until
from tests.api.keys import bearer, bootstrap, secured

AT = 1_767_607_200.0
PERIOD = {"from": "2026-01-05T10:00:00Z", "to": "2026-01-05T10:59:00Z"}


@pytest.fixture
def small(configured: pytest.MonkeyPatch, tmp_path: Path) -> Manifest:
    """A model that captures, and `mute`, which does not. The first has three captured rows of owner default."""
    configured.setenv("CELERIAC_FILES", str(tmp_path / "files"))
    configured.setenv("CELERIAC_MODELS", str(tmp_path / "models"))
    settings.cache_clear()
    repository, estimator = Repository(tmp_path / "models"), LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    publish(repository, estimator, "mute", sample=[[0.5]])
    manifest = publish(repository, estimator, "small", sample=[[0.5]], capture=Capture(1, keep="9999d"))
    capture(manifest, AT)
    return manifest


def capture(manifest: Manifest, answered_at: float) -> None:
    """Write three rows of two owners each."""
    buffer = CaptureBuffer(1 << 20)
    inputs = [Tensor(manifest.inputs[0].name, "FP64", (3, 1), encode([0.0, 1.0, 1.0], "FP64"))]
    for owner in ("default", "b"):
        buffer.add(manifest, "order-4711", owner, inputs, [Tensor("predict", "INT64", (3,), encode([0, 1, 1], "INT64"))], answered_at)
    for version in buffer.take():
        captured.write(version, captures())


@pytest.fixture
async def api(small: Manifest) -> AsyncIterator[httpx.AsyncClient]:
    async with running() as client:
        yield client


def item(row: int = 0, actual: Any = 0, **more: Any) -> dict[str, Any]:
    return {"model": "small", "job": "order-4711", "row": row, "actual": actual} | more


async def sent(api: httpx.AsyncClient, *items: Any) -> httpx.Response:
    lines = b"\n".join(orjson.dumps(one) for one in items)
    return await api.post("/v1/feedback", content=lines, headers={"content-type": "application/jsonl"})


async def compared(api: httpx.AsyncClient) -> tuple[int, int, float | None]:
    response = await api.get("/v1/models/small/quality", params=PERIOD)
    assert response.status_code == 200, response.text
    [version] = response.json()["versions"]
    return version["rows"], version["compared"], version["accuracy"]


async def test_feedback_is_compared_with_captured_rows(api: httpx.AsyncClient, worker: Worker) -> None:
    assert await compared(api) == (6, 0, None)
    assert (await api.post("/v1/feedback", json=item())).json() == {"rows": 1}
    assert await compared(api) == (6, 1, 1.0)
    assert (await sent(api, item(1, 0), item(2, 1), item(7, 1))).json() == {"rows": 3}
    assert await compared(api) == (6, 3, 2 / 3)
    await sent(api, item(1, 1), item(1, 1))
    assert await compared(api) == (6, 3, 1.0)
    [key] = worker.client.scan_iter(keys.feedback("small", 0)[:-1] + "*")
    assert worker.client.ttl(key) > settings().feedback_ttl_s
    response = await api.get("/v1/models/small/quality")
    assert response.json() == {"model": "small", "versions": []}


@pytest.mark.parametrize(
    ("wrong", "status", "pointer"),
    [
        (item(row=-1), 422, "/0/row"), (item(actual=[1]), 422, "/0/actual"), (item(actual="x" * 201), 422, "/0/actual"),
        (item(job="?"), 422, "/0/job"), (item(model="mute"), 422, "/model"), (item(model="nobody"), 404, "/model"),
        (item(label=1), 422, "/0/label"), ([], 422, "/0"),
    ],
    ids=["row", "list", "long text", "job", "captures nothing", "no model", "unknown field", "no object"],
)  # fmt: skip
async def test_wrong_feedback_is_refused_with_its_field(api: httpx.AsyncClient, wrong: Any, status: int, pointer: str) -> None:
    response = await sent(api, wrong)
    assert (response.status_code, response.json().get("pointer") or response.json()["errors"][0]["pointer"]) == (status, pointer)


@pytest.mark.parametrize("content", [b"", b"{", b"{}\n" * 10_001], ids=["nothing", "no JSON", "too many"])
async def test_wrong_lines_are_refused(api: httpx.AsyncClient, content: bytes) -> None:
    response = await api.post("/v1/feedback", content=content, headers={"content-type": "application/x-ndjson"})
    assert response.status_code in (400, 422)


async def test_a_model_takes_a_bounded_number_of_rows_a_day(configured: pytest.MonkeyPatch, small: Manifest) -> None:
    configured.setenv("CELERIAC_MAX_FEEDBACK_ROWS", "2")
    settings.cache_clear()
    async with running() as api:
        assert (await sent(api, item(0), item(1))).status_code == 200
        response = await sent(api, item(2))
        assert (response.status_code, response.json()["code"]) == (507, "storage_full")


async def test_quality_is_a_metric(small: Manifest, worker: Worker) -> None:
    capture(small, time.time())
    async with running() as api:
        await sent(api, item(0, 0), item(1, 0))
    worker.client.delete(keys.QUALITY)  # the process that held it has ended
    async with running():

        async def measured() -> bool:
            return REGISTRY.get_sample_value("celeriac_model_quality", {"model": "small", "version": "1", "measure": "accuracy"}) == 0.5

        await until(measured, "the metric is set")


async def test_feedback_belongs_to_an_owner_and_is_deleted_with_its_rows(configured: pytest.MonkeyPatch, small: Manifest) -> None:
    async with secured(configured) as api:
        admin, b, c = [
            bearer((await bootstrap(**fields))[1]) for fields in ({}, {"owner": "b", "role": "user"}, {"owner": "c", "role": "user"})
        ]
        for key in (b, c):
            assert (await api.post("/v1/feedback", json=item(), headers=key)).status_code == 200
        [version] = (await api.get("/v1/models/small/quality", params=PERIOD, headers=b)).json()["versions"]
        assert version["compared"] == 1
        assert (await api.delete("/v1/models/small/captures", params={"owner": "b"}, headers=admin)).json()["rows"] == 3
        [version] = (await api.get("/v1/models/small/quality", params=PERIOD, headers=b)).json()["versions"]
        assert (version["rows"], version["compared"]) == (3, 0)
