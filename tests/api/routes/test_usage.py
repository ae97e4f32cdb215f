"""/v1/usage: what owners used, what it cost, and who may read it; and the cost of a job."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.core.deliveries import Outcome
from app.core.metering import Amounts, Meter, Series
from app.core.tensors import Tensor, encode
from app.settings import settings
from app.store import keys, metering, scripts
from app.store.redis.client import connect_async
from tests.api.conftest import QUEUE, Worker, running
from tests.api.keys import bearer, bootstrap, secured

ROW = [0.0] * 64
METER = Meter(400, 100, {"default": 3.6})
USED = {
    Series("default", "digits", "a"): Amounts(3, 30, 1000.0),
    Series("default", "digits", "b"): Amounts(1, 1, 500.0),
    Series("gpu", "wine", "b"): Amounts(1, 1, 20.0),
    Series("default"): Amounts(run_s=4000.0),
}


async def usage(api: httpx.AsyncClient, key: str = "", **query: str) -> Any:
    response = await api.get("/v1/usage", params=query, headers=bearer(key) if key else {})
    assert response.status_code == 200, response.text
    return response.json()


@pytest.fixture
async def used(configured: pytest.MonkeyPatch) -> None:
    """The usage of two owners today. `configured` names the Redis of the test."""
    del configured
    async with connect_async() as client:
        await metering.record(client, METER, USED)


async def test_without_any_work_a_report_is_empty(api: httpx.AsyncClient) -> None:
    reported = await usage(api)
    assert (reported["items"], reported["pools"]) == ([], [])
    assert reported["from"] < reported["to"]


@pytest.mark.usefixtures("used")
async def test_usage_is_grouped(api: httpx.AsyncClient) -> None:
    [total] = (await usage(api))["items"]
    assert (total["jobs"], total["rows"], total["run_s"], total["cost"], total["owner"]) == (5, 32, 1520.0, 1.5, None)
    by_owner = (await usage(api, group_by="owner,model"))["items"]
    assert [(item["owner"], item["model"], item["pool"], item["jobs"], item["cost"]) for item in by_owner] == [
        ("a", "digits", None, 3, 1.0),
        ("b", "digits", None, 1, 0.5),
        ("b", "wine", None, 1, None),
    ]
    reported = await usage(api, group_by="day", **{"from": "-1d"})
    assert {item["day"] for item in reported["items"]} <= {reported["from"], reported["to"]}


@pytest.mark.parametrize(
    ("query", "run_s", "pools"),
    [
        ({"owner": "b"}, 520.0, ["default", "gpu"]),
        ({"model": "digits"}, 1500.0, ["default", "gpu"]),
        ({"pool": "gpu"}, 20.0, ["gpu"]),
        ({"owner": "b", "model": "digits"}, 500.0, ["default", "gpu"]),
    ],
)
@pytest.mark.usefixtures("used")
async def test_usage_is_filtered(api: httpx.AsyncClient, query: dict[str, str], run_s: float, pools: list[str]) -> None:
    reported = await usage(api, **query)
    assert [item["run_s"] for item in reported["items"]] == [run_s]
    assert [item["pool"] for item in reported["pools"]] == pools


async def test_a_filter_that_nothing_matches_gives_an_empty_report(api: httpx.AsyncClient) -> None:
    assert (await usage(api, owner="nobody"))["items"] == []


@pytest.mark.usefixtures("used")
async def test_the_time_of_a_pool_is_reserved_used_and_idle(api: httpx.AsyncClient) -> None:
    pools = {item["pool"]: item for item in (await usage(api))["pools"]}
    default = pools["default"]
    assert (default["reserved_s"], default["used_s"], default["idle_s"]) == (4000.0, 1500.0, 2500.0)
    assert (default["reserved_cost"], default["used_cost"], default["idle_cost"]) == (4.0, 1.5, 2.5)
    assert (pools["gpu"]["used_s"], pools["gpu"]["used_cost"], pools["gpu"]["idle_cost"]) == (20.0, None, None)


@pytest.mark.usefixtures("used")
async def test_a_key_gets_the_usage_of_its_owner_and_an_operator_that_of_all(configured: pytest.MonkeyPatch) -> None:
    async with secured(configured) as api:
        _, user = await bootstrap(owner="a", scopes=["jobs:read"])
        _, operator = await bootstrap(owner="ops", scopes=["jobs:read", "operate"])
        own = await usage(api, user, group_by="owner")
        assert ([item["owner"] for item in own["items"]], own["pools"]) == (["a"], [])
        assert [item["owner"] for item in (await usage(api, operator, group_by="owner"))["items"]] == ["a", "b"]
        _, restricted = await bootstrap(owner="ops", scopes=["jobs:read", "operate"], models=["wine"], pools=["gpu"])
        assert (await api.get("/v1/usage?model=digits", headers=bearer(restricted))).status_code == 403
        seen = await usage(api, restricted, group_by="owner,model")
        assert [(item["owner"], item["model"]) for item in seen["items"]] == [("b", "wine")]
        assert [item["pool"] for item in seen["pools"]] == ["gpu"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"group_by": "owner,version"}, "/group_by"),
        ({"from": "yesterday"}, "/from"),
        ({"pool": "A B"}, "/pool"),
        ({"from": "2026-W01-1"}, "/from"),
        ({"to": "2026-02-30"}, "/to"),
        ({"from": "-9999d"}, "/from"),
        ({"from": "2999-01-01"}, "/from"),
    ],
    ids=["group", "word", "pool", "week", "day", "old", "future"],
)
async def test_what_is_wrong_with_a_request_is_named(api: httpx.AsyncClient, query: dict[str, str], pointer: str) -> None:
    response = await api.get("/v1/usage", params=query)
    assert (response.status_code, pointer in response.text) == (422, True), response.text


async def test_a_job_says_its_share_and_its_cost_and_both_count(configured: pytest.MonkeyPatch, worker: Worker) -> None:
    configured.setenv("CELERIAC_PRICE_PER_HOUR", "default=3.6")
    async with running() as api:
        id = (await api.post("/v1/jobs", json={"model": "digits", "inputs": [ROW, ROW]})).json()["id"]
        delivery = worker.take()
        worker.client.hincrbyfloat(keys.delivery(delivery.id), "began", -1000)
        outcome = Outcome(delivery.jobs[0], [Tensor("predict", "INT64", (2,), encode([1, 2], "INT64"))], attempt=1)
        call = scripts.finish(QUEUE, delivery, [outcome], keep=60, keep_dead=60, max_dead=10, pool="default", meter=settings().meter)
        scripts.run(worker.client, call)
        job = (await api.get(f"/v1/jobs/{id}")).json()
        assert job["share"] == 1.0
        assert job["cost"] == pytest.approx(1.0, abs=0.1)
        [item] = (await usage(api, group_by="owner,model,pool"))["items"]
        assert (item["owner"], item["model"], item["pool"], item["jobs"], item["rows"]) == ("default", "digits", "default", 1, 2)
        assert item["cost"] == pytest.approx(job["cost"], rel=0.001)
