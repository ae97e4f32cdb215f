"""Quotas of owners: what is refused, what the response says, what gives a place back, and what `GET /v1/limits` shows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from app.core.deliveries import Outcome
from app.core.errors import PredictionFailed
from tests.api.conftest import Worker, running
from tests.api.keys import bearer, bootstrap
from tests.api.owners import Owner, owned

pytestmark = pytest.mark.slow

REQUEST = b'{"custom_id":"1","method":"POST","url":"/v2/models/wine/infer","body":{"inputs":[]}}\n'


def refusals(policy: str) -> float:
    return REGISTRY.get_sample_value("celeriac_rate_limited_total", {"policy": policy}) or 0.0


async def limits(owner: Owner, query: str = "") -> dict[str, tuple[int, int]]:
    """The use and the limit of each policy."""
    return {item["policy"]: (item["used"], item["limit"]) for item in (await owner("GET", f"/v1/limits{query}"))["items"]}


async def upload(owner: Owner, status: int = 200, content: bytes = REQUEST) -> Any:
    return await owner("POST", "/v1/files", status, files={"file": ("rows.jsonl", content)})


async def begin(owner: Owner, file: str, status: int = 200) -> Any:
    return await owner("POST", "/v1/batches", status, json={"input_file_id": file, "endpoint": "/v2/models/wine/infer"})


async def test_an_owner_with_as_many_open_jobs_as_it_may_is_refused(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> None:
    async with owned(configured, wine, limit_jobs_open="2") as owners:
        jobs = [await owners.a.submit() for _ in range(2)]
        before = refusals("owner_jobs_open")
        problem = await owners.a.submit(429)
        assert problem == {
            "type": "urn:celeriac:error:quota_exceeded",
            "title": "The quota is exhausted",
            "status": 429,
            "detail": "Owner 'a' may have 2 jobs that are queued or running, and has 2. The request needs 1. Try again when some have ended.",
            "code": "quota_exceeded",
            "policy": "owner_jobs_open",
            "owner": "a",
            "limit": 2,
            "used": 2,
        }
        assert refusals("owner_jobs_open") == before + 1
        await owners.b.submit()
        await owners.a("DELETE", f"/v1/jobs/{jobs[0]['id']}")
        await owners.a.submit()


async def test_an_owner_with_as_many_bytes_of_open_jobs_as_it_may_is_refused(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> None:
    async with owned(configured, wine, limit_bytes_open="1000000") as owners:
        job = await owners.a.submit()
        used, _ = (await limits(owners.a))["owner_bytes_open"]
        assert used > 0
    async with owned(configured, wine, limit_bytes_open=str(used)) as owners:
        problem = await owners.a.submit(429)
        assert (problem["policy"], problem["used"], problem["limit"]) == ("owner_bytes_open", used, used)
        await owners.b.submit()
        await owners.a("DELETE", f"/v1/jobs/{job['id']}")
        await owners.a.submit()
        body = {"model": "wine", "inputs": [wine] * 2}
        assert (await owners.a("POST", "/v1/jobs", 413, json=body))["code"] == "payload_too_large"


async def test_a_refusal_has_the_fields_of_the_draft(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> None:
    async with owned(configured, wine, limit_jobs_open="1") as owners:
        body, headers = {"model": "wine", "inputs": [wine]}, bearer(owners.a.key)
        admitted, refused = [await owners.a.api.post("/v1/jobs", json=body, headers=headers) for _ in range(2)]
        assert (
            admitted.headers["ratelimit-policy"] == refused.headers["ratelimit-policy"] == '"owner_jobs_open";q=1;qu="concurrent-requests"'
        )
        assert admitted.headers["ratelimit"] == refused.headers["ratelimit"] == '"owner_jobs_open";r=0'
        assert int(refused.headers["retry-after"]) > 0


async def test_requests_at_once_are_admitted_as_far_as_each_owner_may(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> None:
    async with owned(configured, wine, limit_jobs_open="2") as owners:
        callers = [owners.a, owners.b] * 2 + [owners.a]
        body = {"model": "wine", "inputs": [wine]}
        responses = await asyncio.gather(*(owner.api.post("/v1/jobs", json=body, headers=bearer(owner.key)) for owner in callers))
        assert sorted(response.status_code for response in responses) == [202] * 4 + [429]
        assert [len(await owner.listed()) for owner in (owners.a, owners.b)] == [2, 2]


async def test_a_replayed_dead_letter_counts_and_is_not_refused(
    configured: pytest.MonkeyPatch, wine: dict[str, Any], worker: Worker
) -> None:
    async with owned(configured, wine, limit_jobs_open="1") as owners:
        await owners.a.submit()
        delivery = worker.take()
        worker.finish(delivery, Outcome(delivery.jobs[0], error=PredictionFailed("it raised"), attempt=1))
        await owners.a.submit()
        await owners.operator("POST", f"/v1/dead-letters/{delivery.jobs[0]}/replay", 202)
        assert await limits(owners.a) == {"owner_jobs_open": (2, 1)}


async def test_a_single_owner_can_have_limits_of_its_own(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> None:
    single = "a=jobs_open:2, b=jobs_open:0, b=requests_per_hour:1"
    async with owned(configured, wine, limit_jobs_open="1", owner_limits=single) as owners:
        await owners.a.submit()
        await owners.a.submit()
        assert (await owners.a.submit(429))["limit"] == 2
        await owners.b.submit()
        assert (await owners.b.submit(429))["policy"] == "owner_requests_per_hour"
        await owners.default.submit()
        assert (await owners.default.submit(429))["limit"] == 1


async def test_a_quota_holds_without_authentication(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> None:
    configured.setenv("CELERIAC_LIMIT_JOBS_OPEN", "1")
    async with running() as api:
        statuses = [(await api.post("/v1/jobs", json={"model": "wine", "inputs": [wine]})).status_code for _ in range(2)]
        assert statuses == [202, 429]


async def test_an_owner_with_as_many_open_batches_as_it_may_is_refused(
    configured: pytest.MonkeyPatch, wine: dict[str, Any], tmp_path: Path
) -> None:
    async with owned(configured, wine, files=str(tmp_path), batch_validate_s="0.01", limit_batches_open="1") as owners:
        file = (await upload(owners.a))["id"]
        await begin(owners.a, file)
        problem = await begin(owners.a, file, 429)
        assert (problem["code"], problem["policy"], problem["used"]) == ("quota_exceeded", "owner_batches_open", 1)
        assert await limits(owners.a) == {"owner_batches_open": (1, 1)}
        await begin(owners.b, (await upload(owners.b))["id"])


async def test_an_owner_with_as_many_files_as_it_may_is_refused(
    configured: pytest.MonkeyPatch, wine: dict[str, Any], tmp_path: Path
) -> None:
    async with owned(configured, wine, files=str(tmp_path), limit_files="1") as owners:
        file = (await upload(owners.a))["id"]
        assert (await upload(owners.a, 429))["policy"] == "owner_files"
        await upload(owners.b)
        await owners.a("DELETE", f"/v1/files/{file}")
        await upload(owners.a)
        assert await limits(owners.a) == {"owner_files": (1, 1)}


async def test_an_owner_with_as_many_bytes_as_it_may_is_refused(
    configured: pytest.MonkeyPatch, wine: dict[str, Any], tmp_path: Path
) -> None:
    async with owned(configured, wine, files=str(tmp_path), limit_files_bytes="100") as owners:
        await upload(owners.a, content=b"x" * 60)
        problem = await upload(owners.a, 429, b"x" * 60)
        assert (problem["policy"], problem["limit"], problem["used"]) == ("owner_files_bytes", 100, 60)
        await upload(owners.a, content=b"x" * 40)
        await upload(owners.b, content=b"x" * 60)
        assert (await upload(owners.b, 413, b"x" * 101))["code"] == "payload_too_large"
        assert await limits(owners.a) == {"owner_files_bytes": (100, 100)}


async def test_the_limits_of_a_caller_are_those_of_its_owner_and_its_key(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> None:
    async with owned(configured, wine, limit_requests_per_hour="10", limit_jobs_open="5") as owners:
        _, text = await bootstrap(role="user", owner="a", limits={"rows_per_day": 100})
        key = Owner(owners.a.api, text, wine)
        await key.submit()
        assert await limits(key) == {"owner_requests_per_hour": (1, 10), "key_rows_per_day": (1, 100), "owner_jobs_open": (1, 5)}
        rate, *_ = (await key("GET", "/v1/limits"))["items"]
        assert (rate["window_s"], 350 < rate["reset_s"] <= 360) == (3600, True)


async def test_the_limits_of_another_owner_need_a_scope(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> None:
    async with owned(configured, wine, limit_jobs_open="5") as owners:
        await owners.a.submit()
        for seeing in (owners.operator, owners.admin):
            assert await limits(seeing, "?owner=a") == {"owner_jobs_open": (1, 5)}
        assert (await owners.b("GET", "/v1/limits?owner=a", 403))["code"] == "scope_missing"
        assert (await owners.b("GET", "/v1/limits?whose=a", 422))["code"] == "unknown_field"


async def test_without_a_limit_the_list_is_empty(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> None:
    async with owned(configured, wine) as owners:
        assert await limits(owners.a) == {}


async def test_an_owner_that_cannot_be_is_refused(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> None:
    async with owned(configured, wine, limit_jobs_open="1") as owners:
        problem = await owners.admin("GET", "/v1/limits?owner=a%20b", 422)
        assert (problem["errors"][0]["pointer"], "Invalid owner 'a b'" in problem["detail"]) == ("/owner", True)
