"""/v1/models/{name}/aliases/{alias}/rollout: what is refused, who may do it, and what webhooks get."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from app.registry.repository import Repository
from app.runtime.publishing import publish
from app.settings import settings
from tests.api.conftest import running
from tests.api.keys import bearer, bootstrap, secured
from tests.hooks.conftest import Receiver, receiver

__all__ = ["receiver"]
ROWS = np.arange(20.0).reshape(-1, 2)
ADDRESS = "/v1/models/trial/aliases/production/rollout"
SHADOW = "/v1/models/trial/aliases/production/shadow"


@pytest.fixture
def models(configured: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Production is 1. Version 2 has the same signature, and 3 takes other inputs."""
    repository = Repository(tmp_path)
    for factor in (1, 2):
        model = LinearRegression().fit(ROWS, factor * ROWS.sum(axis=1))
        publish(repository, model, "trial", sample=ROWS[:2], metrics={"r2": 0.8 / factor}, promote="production" if factor == 1 else None)
    publish(repository, LogisticRegression().fit(ROWS[:, :1], ROWS[:, 0] > 5), "trial", sample=ROWS[:2, :1])
    configured.setenv("CELERIAC_MODELS", str(tmp_path))
    configured.setenv("CELERIAC_WEBHOOK_ALLOW_PRIVATE", "1")
    settings.cache_clear()
    return configured


@pytest.fixture
async def trial(models: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    async with running() as client:
        yield client


@pytest.mark.parametrize(
    ("fields", "status", "detail"),
    [
        ({"version": "9"}, 404, "no version '9'"),
        ({"version": "1"}, 409, "points to 1 already"),
        ({"version": "2", "steps": [50, 10]}, 422, "must ascend"),
        ({"version": "2", "steps": [0]}, 422, "above 0"),
        ({"version": "2", "by": "key:colour"}, 409, "no input 'colour'"),
        ({"version": "2", "by": "chance"}, 422, "key:FIELD"),
        ({"version": "2", "promote_if": {"r2": {"not_worse_than": "production"}}}, 409, "r2 is 0.4, below 0.8"),
        ({"version": "2", "min_agreement": 0.9}, 409, "Make 2 the shadow of trial@production first"),
        ({"version": "3"}, 409, "its inputs differ from those of 1"),
        ({"version": "2", "shares": [1]}, 422, "shares"),
    ],
    ids=[
        "unknown version",
        "same version",
        "descending",
        "nothing",
        "no such input",
        "by",
        "gate",
        "agreement",
        "signature",
        "unknown field",
    ],
)
async def test_a_rollout_that_cannot_be_is_refused(trial: httpx.AsyncClient, fields: dict[str, Any], status: int, detail: str) -> None:
    response = await trial.put(ADDRESS, json=fields)
    assert (response.status_code, detail in response.json()["detail"]) == (status, True), response.text
    assert (await trial.get(ADDRESS)).json()["code"] == "rollout_not_found"


async def test_an_alias_that_is_not_set_has_no_rollout(trial: httpx.AsyncClient) -> None:
    response = await trial.put(ADDRESS.replace("production", "staging"), json={"version": "2"})
    assert (response.status_code, response.json()["code"]) == (404, "version_not_found")


async def test_one_rollout_at_a_time(trial: httpx.AsyncClient) -> None:
    started = await trial.put(ADDRESS, json={"version": "2", "steps": [5, 100]})
    assert (started.status_code, started.json()["percent"], started.json()["step"]["missing_jobs"]) == (200, 5, 100)
    assert (await trial.get("/v1/models/trial")).json()["canaries"] == {"production": {"version": "2", "percent": 5, "by": "job"}}
    assert (await trial.put(ADDRESS, json={"version": "2"})).json()["code"] == "model_conflict"
    assert (await trial.delete(ADDRESS)).json()["state"] == "rolled_back"
    assert (await trial.delete(ADDRESS)).json()["state"] == "rolled_back"
    assert (await trial.get("/v1/models/trial")).json()["canaries"] == {}
    assert (await trial.put(ADDRESS, json={"version": "2"})).status_code == 200


@pytest.mark.parametrize(
    ("fields", "status", "detail"),
    [
        ({"version": "1"}, 409, "points to 1 already"),
        ({"version": "3"}, 409, "its inputs differ from those of 1"),
        ({"version": "2", "rate": 0}, 422, "above 0"),
        ({"version": "9"}, 404, "no version '9'"),
    ],
    ids=["same version", "signature", "rate", "unknown version"],
)
async def test_a_shadow_that_cannot_be_is_refused(trial: httpx.AsyncClient, fields: dict[str, Any], status: int, detail: str) -> None:
    response = await trial.put(SHADOW, json=fields)
    assert (response.status_code, detail in response.json()["detail"]) == (status, True), response.text
    assert (await trial.get(SHADOW)).json()["code"] == "shadow_not_found"


async def test_a_shadow_and_a_rollout_go_together(trial: httpx.AsyncClient) -> None:
    assert (await trial.put(SHADOW, json={"version": "2", "rate": 0.5})).json()["rows"] == 0
    assert (await trial.put(ADDRESS, json={"version": "2", "min_agreement": 0.9})).json()["min_agreement"] == 0.9
    assert (await trial.delete(SHADOW)).json()["shadow"] == "2"
    assert (await trial.get(ADDRESS)).json()["state"] == "running"
    assert (await trial.delete("/v1/models/trial/versions/2")).json()["code"] == "model_conflict"


async def test_a_webhook_is_notified_of_a_rollout(trial: httpx.AsyncClient, receiver: Receiver) -> None:
    await trial.post("/v1/webhooks", json={"url": receiver.url, "events": ["rollout"], "models": ["trial"]})
    await trial.put(ADDRESS, json={"version": "2"})
    request = await asyncio.to_thread(receiver.get)
    data = request.json["data"]
    assert (request.json["type"], data["model"], data["alias"], data["version"], data["before"]) == (
        "model.rollout.started", "trial", "production", "2", "1",
    )  # fmt: skip


async def test_a_key_needs_the_scope_and_the_model(models: pytest.MonkeyPatch) -> None:
    async with secured(models) as api:
        _, publisher = await bootstrap(scopes=["models:write"], models=["trial"])
        _, other = await bootstrap(scopes=["models:write"], models=["wine"])
        _, caller = await bootstrap(scopes=["predict"])
        answers = [(await api.put(ADDRESS, json={"version": "2"}, headers=bearer(key))).status_code for key in (caller, other, publisher)]
        assert answers == [403, 403, 200]
        assert (await api.get(ADDRESS, headers=bearer(caller))).status_code == 200
        assert (await api.delete(ADDRESS, headers=bearer(other))).status_code == 403
