"""/v1/models/{name}/captures: rows are listed, downloaded, and deleted for an owner."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression

from app.core.capture import Capture
from app.core.captured_jobs import CaptureBuffer
from app.core.models import Manifest
from app.core.tensors import Tensor, encode
from app.data import captured
from app.registry.repository import Repository
from app.runtime.publishing import publish
from app.settings import settings
from app.store.files import captures
from tests.api.conftest import running
from tests.api.keys import bearer, bootstrap, secured


@pytest.fixture
def folder(configured: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    configured.setenv("CELERIAC_FILES", str(tmp_path / "files"))
    configured.setenv("CELERIAC_MODELS", str(tmp_path / "models"))
    settings.cache_clear()
    return tmp_path


@pytest.fixture
def small(folder: Path) -> Manifest:
    estimator, capture = LogisticRegression().fit([[0.0], [1.0]], [0, 1]), Capture(1, keep="9999d")
    return publish(Repository(folder / "models"), estimator, "small", sample=[[0.5]], capture=capture)


@pytest.fixture
async def api(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with running() as client:
        yield client


def capture(manifest: Manifest, *owners: str) -> None:
    """Write a file with a row of each owner."""
    buffer = CaptureBuffer(1 << 20)
    for owner in owners:
        inputs = [Tensor(manifest.inputs[0].name, "FP64", (1, 1), encode([0.5], "FP64"))]
        buffer.add(manifest, f"job-of-{owner}", owner, inputs, [Tensor("predict", "INT64", (1,), encode([1], "INT64"))], 1_767_607_200.0)
    for version in buffer.take():
        captured.write(version, captures())


async def listed(api: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    response = await api.get("/v1/models/small/captures", params=query)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def test_files_are_listed_page_by_page_and_downloaded(api: httpx.AsyncClient, small: Manifest) -> None:
    for _ in range(3):
        capture(small, "a", "b")
    page = await listed(api, limit=2)
    [last] = (await listed(api, limit=2, cursor=page["next"]))["items"]
    assert (last["rows"], last["version"], last["hour"], len(page["items"])) == (2, "1", "2026-01-05T10:00:00.000Z", 2)
    assert (await listed(api, **{"from": "-24h"}))["items"] == []
    response = await api.get(f"/v1/models/small/captures/{last['id']}/content")
    assert pq.read_table(io.BytesIO(response.content))["owner"].to_pylist() == ["a", "b"]
    assert (await api.get("/v1/models/small/captures/nothing/content")).status_code == 404


async def test_the_rows_of_an_owner_are_deleted_and_the_audit_log_says_so(api: httpx.AsyncClient, small: Manifest) -> None:
    capture(small, "a", "b")
    capture(small, "a")
    response = await api.delete("/v1/models/small/captures", params={"owner": "a"})
    assert response.json() == {"model": "small", "owner": "a", "rows": 2}
    [file] = (await listed(api))["items"]
    assert file["rows"] == 1
    [entry] = (await api.get("/v1/audit", params={"action": "model.captures_deleted"})).json()["items"]
    assert (entry["targets"], entry["after"]) == ([{"type": "model", "id": "small"}], {"owner": "a", "rows": 2})
    assert (await api.delete("/v1/models/small/captures")).status_code == 422


async def test_a_key_needs_the_scope_operate(configured: pytest.MonkeyPatch, folder: Path) -> None:
    async with secured(configured) as api:
        _, viewer = await bootstrap(scopes=["predict", "jobs:read"])
        _, restricted = await bootstrap(scopes=["operate"], models=["wine"])
        for key in (viewer, restricted):
            for method, path in (("GET", ""), ("GET", "/x/content"), ("DELETE", "?owner=a")):
                assert (await api.request(method, f"/v1/models/small/captures{path}", headers=bearer(key))).status_code == 403


async def test_without_files_the_list_says_what_to_set(configured: pytest.MonkeyPatch) -> None:
    async with running() as api:
        response = await api.get("/v1/models/wine/captures")
        assert (response.status_code, response.json()["code"]) == (503, "files_unavailable")
