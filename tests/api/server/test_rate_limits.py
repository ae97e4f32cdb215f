"""Rate limits of owners and of API keys: who is refused, what the response says, and that nobody else notices."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from app.core.deliveries import Outcome
from app.core.errors import PredictionFailed
from tests.api.conftest import Worker, running, until
from tests.api.keys import bearer, bootstrap, secured
from tests.api.owners import Owner, owned

pytestmark = pytest.mark.slow

PIPELINE = "inputs: [text]\nsteps:\n  echo: {run: echo, inputs: {text: $inputs.text}}\noutput: $echo\n"
ROW = [0.0] * 10


def infer(rows: int) -> dict[str, Any]:
    return {"inputs": [{"name": "input", "shape": [rows, 10], "datatype": "FP64", "data": ROW * rows}]}


def limited(policy: str) -> float:
    return REGISTRY.get_sample_value("celeriac_rate_limited_total", {"policy": policy}) or 0.0


async def keyed(api: httpx.AsyncClient, wine: dict[str, Any], owner: str, **limits: int) -> Owner:
    _, text = await bootstrap(role="operator", owner=owner, limits=limits)
    return Owner(api, text, wine)


async def test_an_owner_over_its_limit_is_refused_with_all_its_keys_and_another_owner_is_not(
    configured: pytest.MonkeyPatch, wine: dict[str, Any]
) -> None:
    async with owned(configured, wine, limit_requests_per_hour="2") as owners:
        second = await keyed(owners.a.api, wine, "a")
        await owners.a.submit()
        await second.submit()
        before = limited("owner_requests_per_hour")
        for key in (owners.a, second):
            problem = await key.submit(429)
            assert (problem["code"], problem["policy"], problem["owner"]) == ("rate_limited", "owner_requests_per_hour", "a")
            assert (problem["limit"], problem["window_s"], problem["used"]) == (2, 3600, 2)
            assert 1790 < problem["reset_s"] <= 1800
            assert problem["detail"].startswith(
                "Owner 'a' may send 2 requests per hour. The request needs 1, and 0 are left. Try again in 1."
            )
        assert limited("owner_requests_per_hour") == before + 2
        await owners.b.submit()
        assert len(await owners.a.listed()) == 2


async def test_a_key_over_its_limit_is_refused_and_another_key_of_the_owner_is_not(
    configured: pytest.MonkeyPatch, wine: dict[str, Any]
) -> None:
    async with owned(configured, wine) as owners:
        key = await keyed(owners.a.api, wine, "a", requests_per_hour=1)
        await key.submit()
        problem = await key.submit(429)
        assert (problem["policy"], problem["key"]) == ("key_requests_per_hour", key.key[4:12])
        assert "owner" not in problem
        await owners.a.submit()


async def test_a_refusal_has_the_fields_of_the_draft(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> None:
    async with secured(configured) as api:
        key = await keyed(api, wine, "a", rows_per_hour=10)
        body = {"model": "wine", "inputs": [wine] * 8}
        assert (await api.post("/v1/jobs", json=body, headers=bearer(key.key))).status_code == 202
        response = await api.post("/v1/jobs", json=body, headers=bearer(key.key))
        assert response.status_code == 429
        assert response.headers["content-type"] == "application/problem+json"
        retry_after = int(response.headers["retry-after"])
        assert 2150 < retry_after <= 2160
        assert response.headers["ratelimit-policy"] == '"key_rows_per_hour";q=10;qu="rows";w=3600'
        assert response.headers["ratelimit"] == f'"key_rows_per_hour";r=2;t={retry_after}'


async def test_an_admitted_request_of_a_limited_caller_says_what_is_left(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> None:
    async with secured(configured, limit_requests_per_minute="60") as api:
        key = await keyed(api, wine, "a", rows_per_day=1000)
        submitted = await api.post("/v1/jobs", json={"model": "wine", "inputs": [wine]}, headers=bearer(key.key))
        assert submitted.headers["ratelimit-policy"] == '"owner_requests_per_minute";q=60;w=60, "key_rows_per_day";q=1000;qu="rows";w=86400'
        assert submitted.headers["ratelimit"] == '"owner_requests_per_minute";r=59;t=1, "key_rows_per_day";r=999;t=87'
        listed = await api.get("/v1/jobs", headers=bearer(key.key))
        assert "ratelimit" not in listed.headers


async def test_without_a_limit_no_response_has_the_fields(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> None:
    async with secured(configured) as api:
        key = await keyed(api, wine, "a")
        response = await api.post("/v1/jobs", json={"model": "wine", "inputs": [wine]}, headers=bearer(key.key))
        assert response.status_code == 202
        assert "ratelimit-policy" not in response.headers


async def test_a_synchronous_prediction_is_refused_as_the_protocol_has_it(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> None:
    async with secured(configured) as api:
        key = await keyed(api, wine, "a", rows_per_hour=10)
        path, headers = "/v2/models/diabetes/infer", bearer(key.key)
        spent = await api.post(path, json=infer(9), headers={**headers, "prefer": "respond-async"})
        assert spent.status_code == 202
        response = await api.post(path, json=infer(2), headers=headers)
        assert (response.status_code, set(response.json()), response.json()["code"]) == (429, {"error", "code"}, "rate_limited")
        assert response.headers["ratelimit-policy"] == '"key_rows_per_hour";q=10;qu="rows";w=3600'
        assert int(response.headers["retry-after"]) > 300


async def test_requests_at_once_are_admitted_as_far_as_each_owner_may(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> None:
    async with owned(configured, wine, limit_requests_per_hour="2") as owners:
        callers = [owners.a, owners.b] * 2 + [owners.a]
        body = {"model": "wine", "inputs": [wine]}
        responses = await asyncio.gather(*(owner.api.post("/v1/jobs", json=body, headers=bearer(owner.key)) for owner in callers))
        statuses = [(owner.key, response.status_code) for owner, response in zip(callers, responses, strict=True)]
        assert sorted(status for key, status in statuses if key == owners.a.key) == [202, 202, 429]
        assert [status for key, status in statuses if key == owners.b.key] == [202, 202]
        assert [len(await owner.listed()) for owner in (owners.a, owners.b)] == [2, 2]


async def test_a_repeated_request_gets_its_job_over_the_limit(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> None:
    async with owned(configured, wine, limit_requests_per_hour="1") as owners:
        headers = {"idempotency-key": '"order-4711"'}
        first = await owners.a.submit(headers=headers)
        assert (await owners.a.submit(headers=headers))["id"] == first["id"]
        await owners.a.submit(429)


async def test_a_request_with_more_rows_than_the_limit_is_too_large(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> None:
    async with secured(configured) as api:
        key = await keyed(api, wine, "a", rows_per_minute=2)
        problem = await key("POST", "/v1/jobs", 413, json={"model": "wine", "inputs": [wine] * 3})
        assert problem["code"] == "payload_too_large"
        assert "may send 2 rows per minute" in problem["detail"]
        await key("POST", "/v1/jobs", 202, json={"model": "wine", "inputs": [wine] * 2})


async def test_pipeline_runs_and_trainings_count_as_requests(configured: pytest.MonkeyPatch, wine: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "echo.yaml").write_text(PIPELINE)
    (tmp_path / "rows.csv").write_text("x,y\n1,0\n2,1\n")
    variables = {"pipelines": str(tmp_path), "file_roots": str(tmp_path), "max_trainings": "1"}
    async with secured(configured, **variables) as api:
        runs, trains = await keyed(api, wine, "a", requests_per_hour=1), await keyed(api, wine, "a", requests_per_hour=1)
        run = {"pipeline": "echo", "inputs": {"text": "x"}}
        await runs("POST", "/v1/jobs", 202, json=run)
        assert (await runs("POST", "/v1/jobs", 429, json=run))["policy"] == "key_requests_per_hour"
        train = {"trainer": "gaussian-nb", "dataset": "rows.csv", "target": "y", "model": "m"}
        training = await trains("POST", "/v1/trainings", 202, json=train)
        assert (await trains("POST", "/v1/trainings", 429, json=train))["policy"] == "key_requests_per_hour"
        listed = await trains("GET", "/v1/trainings")
        assert [item["id"] for item in listed["items"]] == [training["id"]], "a refused training displaces no other"


async def test_the_quota_returns(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> None:
    async with secured(configured) as api:
        key = await keyed(api, wine, "a", requests_per_second=2)

        async def status() -> int:
            return (await api.post("/v1/jobs", json={"model": "wine", "inputs": [wine]}, headers=bearer(key.key))).status_code

        async def refused() -> bool:
            return await status() == 429

        async def admitted() -> bool:
            return await status() == 202

        await until(refused, "the quota is spent")
        await until(admitted, "half a second later one request is admitted")


async def test_a_limit_of_the_owner_holds_without_authentication(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> None:
    configured.setenv("CELERIAC_LIMIT_REQUESTS_PER_HOUR", "1")
    async with running() as api:
        body = {"model": "wine", "inputs": [wine]}
        assert (await api.post("/v1/jobs", json=body)).status_code == 202
        response = await api.post("/v1/jobs", json=body)
        assert (response.status_code, response.json()["owner"]) == (429, "default")


async def test_a_changed_owner_is_charged_and_so_is_the_key(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> None:
    async with owned(configured, wine, limit_requests_per_hour="1") as owners:
        await owners.admin.submit(headers={"celeriac-owner": "a"})
        assert (await owners.a.submit(429))["owner"] == "a"
        await owners.admin.submit(headers={"celeriac-owner": "b"})
        await owners.admin.submit()


async def test_a_replayed_dead_letter_is_not_counted(configured: pytest.MonkeyPatch, wine: dict[str, Any], worker: Worker) -> None:

    async with owned(configured, wine, limit_requests_per_hour="1") as owners:
        await owners.a.submit()
        delivery = worker.take()
        worker.finish(delivery, Outcome(delivery.jobs[0], error=PredictionFailed("it raised"), attempt=1))
        await owners.operator("POST", f"/v1/dead-letters/{delivery.jobs[0]}/replay", 202)
        await owners.a.submit(429)
