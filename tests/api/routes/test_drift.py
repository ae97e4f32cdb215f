"""/v1/models/{name}/drift: what was counted, compared with the profile."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from sklearn.linear_model import LogisticRegression

from app import metrics
from app.core.models import Manifest
from app.registry.repository import Repository
from app.runtime.publishing import publish
from app.settings import settings
from app.store import keys, live_counts, scripts
from tests.api.conftest import Worker, running, until
from tests.api.keys import bearer, bootstrap, secured
from tests.hooks.conftest import Receiver, receiver

__all__ = ["receiver"]


@pytest.fixture
def tumor(sample_models: Path) -> Manifest:
    manifest = Repository(sample_models).manifest("breast-cancer", "1")
    assert manifest is not None
    return manifest


async def drift(api: httpx.AsyncClient, model: str, **query: str) -> dict[str, Any]:
    response = await api.get(f"/v1/models/{model}/drift", params=query)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def test_without_traffic_every_column_has_null_and_nothing_drifts(api: httpx.AsyncClient) -> None:
    report = await drift(api, "breast-cancer")
    assert (report["version"], report["reference_rows"]) == ("1", 426)
    assert [(window["window"], window["rows"], window["drifted"]) for window in report["windows"]] == [
        ("1h", 0, []),
        ("24h", 0, []),
        ("7d", 0, []),
    ]
    columns = report["windows"][0]["inputs"]
    assert (len(columns), columns[0]["name"], columns[0]["psi"]) == (30, "mean_radius", None)
    assert [column["name"] for column in report["windows"][0]["outputs"]] == ["predict"]


async def test_rows_that_were_counted_are_compared(api: httpx.AsyncClient, worker: Worker, tumor: Manifest) -> None:
    assert tumor.profile is not None
    alike = [2 * lane for column in tumor.profile.columns for lane in column.lanes]
    scripts.run(worker.client, live_counts.record(tumor, alike, 10))
    report = await drift(api, "breast-cancer", version="production")
    for window in report["windows"]:
        assert (window["rows"], window["drifted"]) == (852, [])
        assert {round(column["psi"], 2) for column in window["inputs"]} == {0}


async def test_a_version_without_a_profile_has_no_windows(configured: pytest.MonkeyPatch, tmp_path: Path) -> None:
    publish(Repository(tmp_path), LogisticRegression().fit([[0.0], [1.0]], [0, 1]), "small", sample=[[0.5]])
    configured.setenv("CELERIAC_MODELS", str(tmp_path))
    settings.cache_clear()
    async with running() as api:
        assert await drift(api, "small") == {"model": "small", "version": "1", "reference_rows": None, "windows": []}


async def test_a_key_gets_the_drift_of_the_models_that_it_may_use(configured: pytest.MonkeyPatch) -> None:
    async with secured(configured) as api:
        _, viewer = await bootstrap(role="viewer", models=["wine"])
        _, caller = await bootstrap(scopes=["predict"])
        answers = [
            (await api.get(f"/v1/models/{model}/drift", headers=bearer(key))).status_code
            for key, model in ((viewer, "wine"), (viewer, "digits"), (caller, "wine"))
        ]
        assert answers == [200, 403, 403]


@pytest.mark.parametrize(("query", "status"), [({"version": "99"}, 404), ({"version": "none"}, 404), ({"version": "?"}, 422)], ids=["a version", "an alias", "neither"])  # fmt: skip
async def test_a_version_that_does_not_exist_is_an_error(api: httpx.AsyncClient, query: dict[str, str], status: int) -> None:
    assert (await api.get("/v1/models/wine/drift", params=query)).status_code == status


async def test_the_columns_that_differ_most_are_metrics(configured: pytest.MonkeyPatch, worker: Worker, tumor: Manifest) -> None:
    assert tumor.profile is not None
    metrics.DRIFT_PSI.clear()  # Other tests of this process have set it, too.

    def psi(column: str) -> float:
        labels = {"model": "breast-cancer", "version": "1", "column": column}
        return REGISTRY.get_sample_value("celeriac_drift_psi", labels) or math.nan

    moved = {column.name: 500 if column.name == "mean_radius" else at for at, column in enumerate(tumor.profile.columns)}
    lanes = [lane + moved[column.name] * (at == 2) for column in tumor.profile.columns for at, lane in enumerate(column.lanes)]
    scripts.run(worker.client, live_counts.record(tumor, lanes, 10))
    async with running():

        async def measured() -> bool:
            return psi("mean_radius") > 0.1

        await until(measured, "the metrics are set")
    assert len([column for column in moved if not math.isnan(psi(column))]) == 20
    assert REGISTRY.get_sample_value("celeriac_drifted_columns", {"model": "breast-cancer", "version": "1"}) == 0


async def test_a_webhook_is_notified_of_a_version_that_drifts(
    configured: pytest.MonkeyPatch, worker: Worker, sample_models: Path, receiver: Receiver
) -> None:
    manifest = Repository(sample_models).manifest("diabetes", "1")
    assert manifest is not None
    assert manifest.profile is not None
    configured.setenv("CELERIAC_WEBHOOK_ALLOW_PRIVATE", "1")
    settings.cache_clear()
    async with running() as api:
        registration = {"url": receiver.url, "events": ["drift"], "models": ["diabetes"]}
        registered = (await api.post("/v1/webhooks", json=registration)).json()
    lanes = [1000 * (lane == 2) for column in manifest.profile.columns for lane in range(column.width)]
    scripts.run(worker.client, live_counts.record(manifest, lanes, 10))
    [hour] = worker.client.scan_iter(keys.live_counts("3600:*"))
    number = hour.split(b":")[-2]
    worker.client.copy(hour, hour.replace(number, b"%d" % (int(number) - 30)))
    worker.client.delete(keys.DRIFT)  # the process that held it has ended
    async with running() as api:
        request = await asyncio.to_thread(receiver.get)
        assert (request.json["type"], request.json["data"]["window"]) == ("model.drifted", "24h")
        assert "bmi" in request.json["data"]["columns"]
        [delivery] = (await api.get(f"/v1/webhooks/{registered['id']}/deliveries")).json()["items"]
        assert delivery["model"] == "diabetes@1"
