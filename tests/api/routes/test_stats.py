"""/v1/stats: figures of jobs and of synchronous predictions, and who may read them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from app.core.deliveries import Outcome
from app.core.errors import PredictionFailed
from app.core.tensors import Tensor, encode
from app.store import keys
from tests.api.conftest import Worker, running, until
from tests.api.keys import bearer, bootstrap, secured

ROW = [0.0] * 64


def succeeded(job: str) -> Outcome:
    return Outcome(job, [Tensor("predict", "INT64", (1,), encode([1], "INT64"))], attempt=1)


async def total(api: httpx.AsyncClient, **query: str) -> dict[str, Any]:
    response = await api.get("/v1/stats", params=query)
    assert response.status_code == 200, response.text
    [group] = response.json()["items"]
    return dict(group["total"])


async def test_without_any_work_there_are_times_and_no_groups(api: httpx.AsyncClient) -> None:
    reported = (await api.get("/v1/stats")).json()
    assert (reported["step_s"], reported["items"]) == (60, [])
    assert len(reported["times"]) in (60, 61)


async def test_jobs_are_counted_by_outcome_in_the_step_of_their_time(api: httpx.AsyncClient, worker: Worker) -> None:
    for end in (succeeded, succeeded, lambda job: Outcome(job, error=PredictionFailed("it raised"), attempt=1)):
        await api.post("/v1/jobs", json={"model": "digits", "inputs": [ROW]})
        delivery = worker.take()
        worker.finish(delivery, end(delivery.jobs[0]))
    reported = (await api.get("/v1/stats")).json()
    [group] = reported["items"]
    sums = {name: sum(group["points"][name]) for name in ("submitted", "succeeded", "failed", "cancelled", "expired", "rows")}
    assert sums == {"submitted": 3, "succeeded": 2, "failed": 1, "cancelled": 0, "expired": 0, "rows": 2}
    assert sums.items() <= group["total"].items()
    assert group["total"]["wait_p50_s"] <= group["total"]["wait_p99_s"]
    assert {len(values) for values in group["points"].values()} == {len(reported["times"])}
    assert (group["model"], group["version"], group["pool"]) == (None, None, None)


async def test_figures_are_grouped_and_filtered(api: httpx.AsyncClient, wine: dict[str, Any]) -> None:
    for body in ({"model": "digits", "inputs": [ROW]}, {"model": "wine", "inputs": [wine]}):
        assert (await api.post("/v1/jobs", json=body)).status_code == 202
    groups = {by: (await api.get("/v1/stats", params={"group_by": by})).json()["items"] for by in ("model", "version", "pool")}
    assert [(group["model"], group["version"], group["pool"]) for group in groups["model"]] == [
        ("digits", None, None),
        ("wine", None, None),
    ]
    assert [(group["model"], group["version"]) for group in groups["version"]] == [("digits", "1"), ("wine", "1")]
    assert [(group["pool"], group["total"]["submitted"]) for group in groups["pool"]] == [("default", 2)]
    assert (await total(api, model="wine", version="1", pool="default"))["submitted"] == 1
    assert (await api.get("/v1/stats", params={"pool": "gpu"})).json()["items"] == []


@pytest.mark.parametrize("step", ["1m", "15m", "1h", "6h", "1d"])
async def test_every_step_has_the_same_sum(api: httpx.AsyncClient, step: str) -> None:
    await api.post("/v1/jobs", json={"model": "digits", "inputs": [ROW]})
    assert (await total(api, step=step))["submitted"] == 1


async def test_a_synchronous_prediction_is_counted_when_its_caller_gets_the_answer(api: httpx.AsyncClient, worker: Worker) -> None:
    request = {"inputs": [{"name": "input", "shape": [1, 64], "datatype": "FP64", "data": ROW}]}
    task = asyncio.ensure_future(api.post("/v2/models/digits/infer", json=request, headers={"prefer": "wait=0.3"}))
    assert (await task).status_code == 504

    async def counted() -> bool:
        return bool((await api.get("/v1/stats")).json()["items"])

    await until(counted, "the process writes what it has counted")
    figures = await total(api)
    assert (figures["submitted"], figures["expired"], figures["run_p50_s"]) == (1, 1, None)


@pytest.mark.parametrize(
    ("query", "pointer", "detail"),
    [
        ({"from": "yesterday"}, "/from", "Use a time with a zone"),
        ({"from": "2026-01-01T00:00:00"}, "/from", "Use a time with a zone"),
        ({"from": "-48h", "step": "1m"}, "/from", "Use a later `from`, or the step 1d."),
        ({"from": "-1h", "to": "-2h"}, "/from", "must be before `to`"),
        ({"to": "-2x"}, "/to", "an age such as -24h"),
        ({"step": "2m"}, "/step", "must be"),
        ({"model": "Wine!"}, "/model", "Use the name of a model"),
        ({"version": "3"}, "/version", "Add it, for example model=wine&version=3."),
        ({"pool": "a b"}, "/pool", "Use the name of a pool"),
        ({"group_by": "owner"}, "/group_by", "must be"),
        ({"since": "-1h"}, "/since", "Supported fields: from, to, step"),
    ],
)
async def test_a_bad_parameter_is_named(api: httpx.AsyncClient, query: dict[str, str], pointer: str, detail: str) -> None:
    response = await api.get("/v1/stats", params=query)
    assert response.status_code == 422, response.text
    [error] = response.json()["errors"]
    assert error["pointer"] == pointer
    assert detail in error["detail"]


async def test_a_time_may_have_an_offset_whose_plus_was_not_escaped(api: httpx.AsyncClient) -> None:
    start = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - 600))
    assert (await api.get(f"/v1/stats?from={start}")).status_code == 200


async def test_more_points_than_a_response_may_have_are_refused(api: httpx.AsyncClient, worker: Worker) -> None:
    names = {f"default/m{number}/1": time.time() for number in range(20)}
    worker.client.zadd(keys.STATS, names)
    response = await api.get("/v1/stats", params={"from": "-24h", "step": "1m", "group_by": "model"})
    assert response.status_code == 422, response.text
    [error] = response.json()["errors"]
    assert error["pointer"] == "/step"
    assert "Use a larger step" in error["detail"]


async def test_a_key_gets_the_figures_of_the_models_and_pools_that_it_may_use(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> None:
    async with secured(configured) as api:
        _, user = await bootstrap(role="user", owner="a")
        _, viewer = await bootstrap(role="viewer", owner="b", models=["wine"])
        _, elsewhere = await bootstrap(role="viewer", owner="b", pools=["gpu"])
        _, other = await bootstrap(scopes=["predict"], owner="b")
        for body in ({"model": "digits", "inputs": [ROW]}, {"model": "wine", "inputs": [wine]}):
            assert (await api.post("/v1/jobs", json=body, headers=bearer(user))).status_code == 202

        async def read(key: str, **query: str) -> httpx.Response:
            return await api.get("/v1/stats", params={"group_by": "model", **query}, headers=bearer(key))

        assert [group["model"] for group in (await read(user)).json()["items"]] == ["digits", "wine"]
        assert [group["model"] for group in (await read(viewer)).json()["items"]] == ["wine"]
        assert (await read(elsewhere)).json()["items"] == []
        refused = await read(viewer, model="digits")
        assert (refused.status_code, refused.json()["code"]) == (403, "key_restricted")
        assert (await read(other)).status_code == 403


async def test_figures_can_be_turned_off(configured: pytest.MonkeyPatch) -> None:
    configured.setenv("CELERIAC_STATS_MAX_SERIES", "0")
    async with running() as api:
        await api.post("/v1/jobs", json={"model": "digits", "inputs": [ROW]})
        assert (await api.get("/v1/stats")).json()["items"] == []
