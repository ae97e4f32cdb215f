"""Service tiers: what a request may ask for, the queue that its job enters, and what the job shows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from app.api.server.operations import OPERATIONS
from app.core.api_keys import ROLES, Scope
from app.core.tiers import Tier
from app.settings import settings
from app.store import keys
from tests.api.conftest import Worker, running, until
from tests.api.keys import bearer, bootstrap, secured

ROW = [0.0] * 64
JOB = {"model": "digits", "inputs": [ROW]}
QUEUES = {"priority": "default.priority", "default": "default", "flex": "default.flex"}
PIPELINE = """
inputs: [rows]
steps:
  read: {model: digits, inputs: $inputs.rows}
output: $read
"""
ASYNC = {"prefer": "respond-async"}


def infer(priority: int | None = None) -> dict[str, Any]:
    parameters = {} if priority is None else {"parameters": {"priority": priority}}
    return {"inputs": [{"name": "input", "shape": [1, 64], "datatype": "FP64", "data": ROW}], **parameters}


def queued(worker: Worker, queue: str) -> list[Any]:
    """The messages in a queue."""
    messages: Any = worker.client.lrange(keys.list_of(queue), 0, -1)
    return [orjson.loads(message) for message in messages]


@pytest.mark.parametrize("tier", Tier)
@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/jobs"), ("PUT", "/v1/jobs/my-own-job")])
async def test_a_job_enters_the_queue_of_its_tier_and_shows_it(
    api: httpx.AsyncClient, worker: Worker, method: str, path: str, tier: Tier
) -> None:
    job = (await api.request(method, path, json={**JOB, "service_tier": tier})).raise_for_status().json()
    [message] = queued(worker, QUEUES[tier])
    assert job["id"] in message["headers"]["argsrepr"]
    assert message["properties"]["delivery_info"]["routing_key"] == QUEUES[tier]
    read = (await api.get(f"/v1/jobs/{job['id']}")).json()
    assert [shown.get("service_tier", "default") for shown in (job, read)] == [tier, tier]
    assert (read["queue_position"], read["state"]) == (1, "queued")


async def test_a_table_has_a_tier(api: httpx.AsyncClient, worker: Worker) -> None:
    content = ",".join(map(str, ROW)).encode()
    query = {"model": "digits", "service_tier": "flex", "header": "false"}
    response = await api.post("/v1/jobs/table", params=query, content=content, headers={"content-type": "text/csv"})
    assert response.raise_for_status().json()["service_tier"] == "flex"
    assert len(queued(worker, "default.flex")) == 1


async def test_an_unknown_tier_is_refused(api: httpx.AsyncClient) -> None:
    response = await api.post("/v1/jobs", json={**JOB, "service_tier": "urgent"})
    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, "invalid_input"), problem
    assert problem["errors"][0]["pointer"] == "/service_tier"
    for tier in Tier:
        assert tier in problem["detail"]


@pytest.mark.parametrize(("priority", "tier"), [(None, "default"), (0, "default"), (1, "priority"), (2, "default"), (9, "default")])
async def test_priority_one_of_the_protocol_is_the_tier_priority(
    api: httpx.AsyncClient, worker: Worker, priority: int | None, tier: str
) -> None:
    response = await api.post("/v2/models/digits/infer", json=infer(priority), headers=ASYNC)
    assert response.json().get("service_tier", "default") == tier
    assert [queue for queue in QUEUES.values() if queued(worker, queue)] == [QUEUES[tier]]


async def test_a_synchronous_request_enters_the_queue_of_its_tier(api: httpx.AsyncClient, worker: Worker) -> None:
    request = asyncio.ensure_future(api.post("/v2/models/digits/infer", json=infer(1)))

    async def waits() -> bool:
        return bool(queued(worker, "default.priority"))

    await until(waits, "the request waits in the queue of its tier")
    request.cancel()


async def test_requests_of_different_tiers_do_not_share_a_delivery(api: httpx.AsyncClient, worker: Worker) -> None:
    await asyncio.gather(*(api.post("/v1/jobs", json={**JOB, "service_tier": tier}) for tier in [*Tier] * 4))
    jobs = {
        tier: {name for message in queued(worker, queue) for name in message["headers"]["argsrepr"].split()}
        for tier, queue in QUEUES.items()
    }
    assert all(jobs.values())
    assert not {job for job in jobs["priority"] & jobs["flex"] if len(job) >= 32}


async def test_the_steps_of_a_run_have_its_tier(configured: pytest.MonkeyPatch, worker: Worker, tmp_path: Path) -> None:
    (tmp_path / "numbers.yaml").write_text(PIPELINE)
    configured.setenv("CELERIAC_PIPELINES", str(tmp_path))
    settings.cache_clear()
    async with running() as api:
        body = {"pipeline": "numbers", "inputs": {"rows": [ROW]}, "service_tier": "priority"}
        run = (await api.post("/v1/jobs", json=body)).raise_for_status().json()

        async def waits() -> bool:
            return bool(queued(worker, "default.priority"))

        await until(waits, "the step waits in the queue of the tier")
        step = (await api.get(f"/v1/jobs/{run['id']}-read")).raise_for_status().json()
    assert [run["service_tier"], step["service_tier"]] == ["priority", "priority"]


OPERATIONS_WITH_A_TIER = [
    ("POST", "/v1/jobs", {**JOB, "service_tier": "priority"}),
    ("PUT", "/v1/jobs/my-own-job", {**JOB, "service_tier": "priority"}),
    ("POST", "/v1/jobs", {"pipeline": "digit-image", "service_tier": "priority"}),
    ("POST", "/v2/models/digits/infer", infer(1)),
    ("POST", "/v2/models/digits/versions/1/infer", infer(1)),
]


async def test_priority_without_its_scope_is_refused_and_named(configured: pytest.MonkeyPatch, worker: Worker) -> None:
    _, text = await bootstrap(role="user")
    async with secured(configured) as api:
        api.headers.update(bearer(text))
        for method, path, body in OPERATIONS_WITH_A_TIER:
            response = await api.request(method, path, json=body)
            problem = response.json()
            assert (response.status_code, problem["code"]) == (403, "scope_missing"), f"{method} {path}: {response.text}"
            assert "lacks the scope predict:priority" in response.text
        table = {"model": "digits", "service_tier": "priority", "header": "false"}
        content, kind = ",".join(map(str, ROW)).encode(), {"content-type": "text/csv"}
        refused = await api.post("/v1/jobs/table", params=table, content=content, headers=kind)
        assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
        assert queued(worker, "default.priority") == []
        assert (await api.post("/v1/jobs", json={**JOB, "service_tier": "flex"})).status_code == 202


@pytest.mark.parametrize("fields", [{"role": "operator"}, {"role": "admin"}, {"scopes": ["predict", "predict:priority"]}])
async def test_priority_with_its_scope_is_accepted(configured: pytest.MonkeyPatch, worker: Worker, fields: dict[str, Any]) -> None:
    _, text = await bootstrap(**fields)
    async with secured(configured) as api:
        response = await api.post("/v1/jobs", json={**JOB, "service_tier": "priority"}, headers=bearer(text))
        assert (response.status_code, len(queued(worker, "default.priority"))) == (202, 1)


async def test_a_schedule_cannot_start_runs_of_a_tier_that_its_caller_lacks(configured: pytest.MonkeyPatch) -> None:
    _, text = await bootstrap(scopes=["operate", "predict"])
    run = {"pipeline": {"pipeline": "digit-image", "service_tier": "priority"}}
    async with secured(configured) as api:
        response = await api.post("/v1/schedules", json={"name": "n", "every_s": 60, "run": run}, headers=bearer(text))
        assert (response.status_code, response.json()["code"]) == (403, "scope_missing")
        assert "predict:priority" in response.json()["detail"]


def test_only_operators_and_admins_have_the_scope_and_no_operation_demands_it() -> None:
    assert {role for role, scopes in ROLES.items() if Scope.PREDICT_PRIORITY in scopes} == {"operator", "admin"}
    assert Scope.PREDICT_PRIORITY not in OPERATIONS.values()
