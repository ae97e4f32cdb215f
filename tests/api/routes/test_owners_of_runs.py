"""Trainings, schedules and dead letters belong to owners, and so does what a schedule starts."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.core import audit
from app.core.audit import Action
from app.core.deliveries import Outcome
from app.core.errors import PredictionFailed
from app.core.owners import mark, record_id
from app.core.schedules import Schedule
from app.store import keys, schedules
from app.store.redis.client import connect_async
from tests.api.conftest import Worker, until
from tests.api.keys import bootstrap
from tests.api.owners import Owner, Owners, owned
from tests.hooks.conftest import Receiver, receiver

pytestmark = pytest.mark.slow

__all__ = ["receiver"]
PIPELINE = """
inputs: [rows]
steps:
  tumor: {model: breast-cancer, inputs: $inputs.rows}
output: $tumor
"""
TRAINING = {"trainer": "ridge", "dataset": "rows.csv", "target": "y", "model": "fresh"}


@pytest.fixture
async def owners(configured: pytest.MonkeyPatch, wine: dict[str, Any], tmp_path: Path) -> AsyncIterator[Owners]:
    (tmp_path / "rows.csv").write_text("x,y\n1,2\n2,3\n")
    pipelines = tmp_path / "pipelines"
    pipelines.mkdir()
    (pipelines / "tumors.yaml").write_text(PIPELINE)
    settings = {"file_roots": str(tmp_path), "pipelines": str(pipelines), "webhook_allow_private": "1"}
    async with owned(configured, wine, **settings) as made:
        yield made


async def trainer(owners: Owners, owner: str) -> Owner:
    """A key of an owner that may train."""
    _, text = await bootstrap(owner=owner, scopes=["train", "jobs:read", "predict"])
    return Owner(owners.a.api, text, owners.a.wine)


async def ids(owner: Owner, path: str, name: str = "id") -> list[str]:
    return [item[name] for item in (await owner("GET", path))["items"]]


async def test_a_training_of_another_owner_does_not_exist(owners: Owners) -> None:
    a, b = [await trainer(owners, name) for name in ("a", "b")]
    headers = {"idempotency-key": '"today"'}
    id = (await a("POST", "/v1/trainings", 202, json=TRAINING, headers=headers))["id"]
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/events")):
        assert (await b(method, f"/v1/trainings/{id}{path}", 404))["code"] == "job_not_found"
    assert (await ids(b, "/v1/trainings"), await ids(a, "/v1/trainings")) == ([], [id])
    other = await b("POST", "/v1/trainings", 202, json=TRAINING, headers=headers)
    assert (other["owner"], other["state"]) == ("b", "queued")
    assert (await a("GET", f"/v1/trainings/{id}"))["owner"] == "a"
    assert len(await ids(owners.operator, "/v1/trainings")) == 2


async def test_a_pipeline_run_and_its_steps_belong_to_their_owner(owners: Owners) -> None:
    body = {"pipeline": "tumors", "inputs": {"rows": [[0.0] * 30]}}
    await owners.a("PUT", "/v1/jobs/monday-run", 202, json=body)

    async def begun() -> bool:
        steps: Any = (await owners.a("GET", "/v1/jobs/monday-run"))["steps"]
        return bool(steps[0]["state"] == "queued")

    await until(begun, "the first step is queued")
    run = await owners.a("GET", "/v1/jobs/monday-run")
    assert run["steps"][0]["job"] == "monday-run-tumor"
    step = await owners.a("GET", "/v1/jobs/monday-run-tumor")
    assert (step["id"], step["parent"], step["owner"]) == ("monday-run-tumor", "pipeline:monday-run", "a")
    for id in ("monday-run", "monday-run-tumor"):
        await owners.b("GET", f"/v1/jobs/{id}", 404)
        await owners.b("DELETE", f"/v1/jobs/{id}", 404)
    await owners.b("POST", "/v1/jobs/monday-run/retry", 404)
    await owners.a("DELETE", "/v1/jobs/monday-run")
    again = await owners.operator("POST", f"/v1/jobs/{(await ids(owners.operator, '/v1/jobs'))[0]}/retry", 202)
    assert again["owner"] == "a", "a run that an operator repeats stays with its owner"


@pytest.mark.parametrize("kind", ["training", "pipeline"])
@pytest.mark.parametrize("now", [True, False])
async def test_what_a_schedule_starts_belongs_to_the_owner_of_the_schedule(owners: Owners, kind: str, now: bool) -> None:
    run = {"training": TRAINING, "pipeline": {"pipeline": "tumors", "inputs": {"rows": [[0.0] * 30]}}}[kind]
    body = {"name": "nightly", "cron": "0 3 * * *", "run": {kind: run}}
    created = await owners.admin("POST", "/v1/schedules", 201, json=body, headers={"celeriac-owner": "a"})
    assert created["owner"] == "a"
    for path in ("", "/runs"):
        await owners.b("GET", f"/v1/schedules/nightly{path}", 404)
    assert [await ids(owner, "/v1/schedules", "name") for owner in (owners.a, owners.b)] == [["nightly"], []]
    if now:
        await owners.operator("POST", "/v1/schedules/nightly/run", 202)
    else:
        async with connect_async() as client:
            await client.zadd(keys.RECONCILE, {f"schedule:{record_id('a', 'nightly')}@1767225600": 0})
            await client.publish(keys.RECONCILE_DUE, "due")

    async def begun() -> bool:
        return bool((await owners.a("GET", "/v1/schedules/nightly/runs"))["items"])

    await until(begun, "a run has begun")
    [started] = (await owners.a("GET", "/v1/schedules/nightly/runs"))["items"]
    assert (await owners.a("GET", f"/v1/jobs/{started['id']}"))["owner"] == "a"
    await owners.b("GET", f"/v1/jobs/{started['id']}", 404)


async def test_two_owners_have_a_schedule_of_the_same_name(owners: Owners) -> None:
    body = {"name": "nightly", "cron": "0 3 * * *", "run": {"training": TRAINING}}
    for owner in ("a", "b"):
        created = await owners.admin("POST", "/v1/schedules", 201, json=body, headers={"celeriac-owner": owner})
        assert (created["name"], created["owner"]) == ("nightly", owner)
    await owners.admin("POST", "/v1/schedules", 409, json=body, headers={"celeriac-owner": "b"})
    assert [(await owner("GET", "/v1/schedules/nightly"))["owner"] for owner in (owners.a, owners.b)] == ["a", "b"]
    ambiguous = await owners.operator("POST", "/v1/schedules/nightly/pause", 404)
    assert all(f"{mark(owner)}nightly of {owner}" in ambiguous["detail"] for owner in ("a", "b"))
    for name in await ids(owners.operator, "/v1/schedules", "name"):
        assert (await owners.operator("POST", f"/v1/schedules/{name}/pause"))["paused"]
    await owners.operator("DELETE", f"/v1/schedules/{mark('a')}nightly")
    assert [await ids(owner, "/v1/schedules", "name") for owner in (owners.a, owners.b)] == [[], ["nightly"]]
    assert (await owners.operator("GET", "/v1/schedules/nightly"))["owner"] == "b", "only one owner has it"


async def test_a_schedule_of_an_earlier_release_stays_with_its_owner(owners: Owners) -> None:
    body = {"name": "nightly", "cron": "0 3 * * *", "run": {"training": TRAINING}}
    async with connect_async() as client:
        earlier = Schedule("nightly", "training", TRAINING, created_at=1, cron="0 3 * * *", owner="a")
        await schedules.create(client, "nightly", earlier, audit.draft(Action.SCHEDULE_CREATED), paused=False, most=10)
    await owners.admin("POST", "/v1/schedules", 409, json=body, headers={"celeriac-owner": "a"})
    for owner in ("b", "default"):
        await owners.admin("POST", "/v1/schedules", 201, json=body, headers={"celeriac-owner": owner})
    assert [(await owner("GET", "/v1/schedules/nightly"))["owner"] for owner in (owners.a, owners.b)] == ["a", "b"]
    await owners.a("GET", "/v1/schedules/nightly/runs")


async def test_a_schedule_belongs_to_the_owner_that_its_batch_names(owners: Owners) -> None:
    body = {"name": "nightly", "cron": "0 3 * * *", "run": {"batch": {"model": "wine", "input": "rows.csv", "owner": "a"}}}
    assert (await owners.admin("POST", "/v1/schedules", 201, json=body))["owner"] == "a"
    problem = await owners.operator("POST", "/v1/schedules", 403, json={**body, "name": "other"})
    assert "needs the scope admin" in problem["detail"]


async def test_an_operator_replays_the_dead_letter_of_an_owner_for_that_owner(owners: Owners, worker: Worker) -> None:
    await owners.a.put("order-4711")
    delivery = worker.take()
    worker.finish(delivery, Outcome(delivery.jobs[0], error=PredictionFailed("bad"), attempt=1))
    await owners.a("GET", "/v1/dead-letters", 403)
    [letter] = (await owners.operator("GET", "/v1/dead-letters"))["items"]
    assert letter["owner"] == "a"
    job = await owners.operator("POST", f"/v1/dead-letters/{letter['id']}/replay", 202)
    assert (job["owner"], job["replay_of"]) == ("a", letter["id"])
    assert len(await owners.a.listed()) == 2
    await owners.operator("GET", f"/v1/dead-letters/{letter['id']}", 404)
    assert await owners.b.listed() == []


async def test_a_webhook_names_the_job_as_its_owner_knows_it(owners: Owners, receiver: Receiver) -> None:
    await owners.a("PUT", "/v1/jobs/order-4711", 202, json={"model": "wine", "inputs": [owners.a.wine], "webhook": {"url": receiver.url}})
    await owners.a("DELETE", "/v1/jobs/order-4711")
    sent = (await to_thread(receiver.get)).json
    assert (sent["data"]["id"], sent["data"]["owner"]) == ("order-4711", "a")
    [delivery] = (await owners.admin("GET", "/v1/webhooks/default/deliveries"))["items"]
    stored = await owners.admin("GET", f"/v1/webhooks/default/deliveries/{delivery['id'].removeprefix('default.')}")
    assert stored["body"] == sent
