"""All that a filter matches is counted, and then cancelled, replayed or discarded by the server, owner by owner."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.core.bulk_actions import PARENT
from app.core.deliveries import Outcome
from app.core.errors import InvalidOutput, PredictionFailed
from app.store import jobs, keys
from tests.api.conftest import Worker, until
from tests.api.owners import Owners, owned

pytestmark = pytest.mark.slow

ROW = [0.0] * 64


@pytest.fixture
async def owners(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> AsyncIterator[Owners]:
    async with owned(configured, wine) as found:
        yield found


async def submit(api: httpx.AsyncClient, model: str = "digits") -> str:
    response = await api.post("/v1/jobs", json={"model": model, "inputs": [ROW]})
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


async def die(api: httpx.AsyncClient, worker: Worker) -> str:
    id = await submit(api)
    worker.finish(worker.take(), Outcome(id, error=PredictionFailed("it raised")))
    return id


async def bulk(api: httpx.AsyncClient, verb: str, status: int = 202, **body: Any) -> dict[str, Any]:
    response = await api.post(f"/v1/bulk-actions/{verb}", json=body)
    assert response.status_code == status, response.text
    return dict(response.json())


async def completed(api: httpx.AsyncClient, action: dict[str, Any]) -> dict[str, Any]:
    address = f"/v1/bulk-actions/{action['id']}"

    async def ended() -> bool:
        return bool((await api.get(address)).json()["state"] == "completed")

    await until(ended, "the bulk action is completed")
    return dict((await api.get(address)).json())


def repeat(worker: Worker, action: dict[str, Any]) -> None:
    """Has the action done once more, from its start."""
    worker.client.hset(keys.bulk_action(action["id"]), "progress", b'["running",null,0,0,null,null]')
    worker.client.zadd(keys.RECONCILE, {f"{PARENT}:{action['id']}": 0})
    worker.client.publish(keys.RECONCILE_DUE, "due")


async def states(api: httpx.AsyncClient, *ids: str) -> list[str]:
    return [(await api.get(f"/v1/jobs/{id}")).json()["state"] for id in ids]


async def test_all_jobs_of_a_model_are_cancelled_and_others_kept(api: httpx.AsyncClient, wine: dict[str, Any]) -> None:
    ids = [await submit(api) for _ in range(3)]
    other = (await api.post("/v1/jobs", json={"model": "wine", "inputs": [wine]})).json()["id"]
    action = await bulk(api, "cancel", model="digits")
    assert (action["matching"], action["complete"], action["filter"]) == (3, True, {"model": "digits"})
    ended = await completed(api, action)
    assert (ended["done"], ended["skipped"], ended["finished_at"] is not None) == (3, 0, True)
    assert await states(api, *ids, other) == ["cancelled"] * 3 + ["queued"]
    assert [item["id"] for item in (await api.get("/v1/bulk-actions")).json()["items"]] == [action["id"]]


async def test_a_running_job_is_kept_if_only_queued_ones_are_chosen(api: httpx.AsyncClient, worker: Worker) -> None:
    running = await submit(api)
    worker.take()
    queued = await submit(api)
    await completed(api, await bulk(api, "cancel", state="queued"))
    assert await states(api, running, queued) == ["running", "cancelled"]
    await completed(api, await bulk(api, "cancel", all=True))
    assert await states(api, running) == ["cancelled"]


async def test_jobs_are_cancelled_by_each_filter(api: httpx.AsyncClient, wine: dict[str, Any]) -> None:
    kept, other = await submit(api), (await api.post("/v1/jobs", json={"model": "wine", "inputs": [wine]})).json()
    later = await submit(api)
    for filter, matching in (({"pool": "gpu"}, 0), ({"kind": "pipeline"}, 0), ({"id_prefix": kept}, 1), ({"owner": "nobody"}, 0)):
        assert (await bulk(api, "cancel", 200, dry_run=True, **filter))["matching"] == matching, filter
    chosen = {"model": "digits@1", "owner": "default", "kind": "prediction", "pool": "default", "since": other["created_at"]}
    action = await bulk(api, "cancel", **chosen)
    assert action["filter"] == chosen
    assert (await completed(api, action))["done"] == 1
    assert await states(api, kept, other["id"], later) == ["queued", "queued", "cancelled"]


async def test_a_dry_run_counts_and_changes_nothing(api: httpx.AsyncClient, worker: Worker) -> None:
    dead = await die(api, worker)
    id = await submit(api)
    assert await bulk(api, "cancel", 200, all=True, dry_run=True) == {"matching": 1, "complete": True}
    assert await bulk(api, "replay", 200, model="digits", dry_run=True) == {"matching": 1, "complete": True}
    assert await states(api, dead, id) == ["failed", "queued"]
    assert (await api.get("/v1/bulk-actions")).json() == {"items": [], "next": None}


@pytest.mark.parametrize("verb", ["cancel", "replay", "discard"])
async def test_a_forgotten_filter_is_refused(api: httpx.AsyncClient, verb: str) -> None:
    problem = await bulk(api, verb, 422)
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("invalid_input", "/all")


async def test_all_dead_letters_are_replayed_with_another_version(api: httpx.AsyncClient, worker: Worker) -> None:
    for _ in range(3):
        await die(api, worker)
    action = await bulk(api, "replay", model="digits", to="digits@1")
    ended = await completed(api, action)
    assert (ended["matching"], ended["done"], ended["skipped"], ended["to"]) == (3, 3, 0, "digits@1")
    assert (await api.get("/v1/dead-letters")).json()["items"] == []
    assert len((await api.get("/v1/jobs", params={"state": "queued"})).json()["items"]) == 3


async def test_a_refused_letter_is_kept_and_says_why(api: httpx.AsyncClient, worker: Worker) -> None:
    id = await die(api, worker)
    ended = await completed(api, await bulk(api, "replay", all=True, to="digits@9"))
    assert (ended["done"], ended["skipped"], ended["error"]["code"]) == (0, 1, "version_not_found")
    assert [letter["id"] for letter in (await api.get("/v1/dead-letters")).json()["items"]] == [id]


async def test_all_dead_letters_of_a_cause_are_discarded_and_others_kept(
    api: httpx.AsyncClient, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LOOKED_AT", 2)
    kept = await submit(api)
    worker.finish(worker.take(), Outcome(kept, error=InvalidOutput("its shape is wrong")))
    for _ in range(3):
        await die(api, worker)
    assert await bulk(api, "discard", 200, error="prediction_failed", dry_run=True) == {"matching": 3, "complete": True}
    action = await bulk(api, "discard", error="prediction_failed")
    ended = await completed(api, action)
    assert (ended["action"], ended["matching"], ended["done"], ended["skipped"]) == ("discard", 3, 3, 0)
    assert [letter["id"] for letter in (await api.get("/v1/dead-letters")).json()["items"]] == [kept]


@pytest.mark.parametrize("verb", ["replay", "discard"])
async def test_letters_that_are_newer_than_the_action_are_kept(api: httpx.AsyncClient, worker: Worker, verb: str) -> None:
    action = await bulk(api, verb, all=True)
    await completed(api, action)
    newer = await die(api, worker)
    repeat(worker, action)
    await completed(api, action)
    assert [letter["id"] for letter in (await api.get("/v1/dead-letters")).json()["items"]] == [newer]


async def test_a_long_list_is_worked_off_part_by_part(api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "LOOKED_AT", 2)
    ids = [await submit(api) for _ in range(5)]
    action = await bulk(api, "cancel", all=True)
    assert (action["matching"], action["complete"]) == (5, True)
    assert (await completed(api, action))["done"] == 5
    assert set(await states(api, *ids)) == {"cancelled"}


async def test_a_step_that_is_repeated_cancels_nothing_newer(api: httpx.AsyncClient, worker: Worker) -> None:
    """As after the death of the process that did it."""
    action = await bulk(api, "cancel", all=True)
    await completed(api, action)
    newer = await submit(api)
    repeat(worker, action)
    await completed(api, action)
    assert await states(api, newer) == ["queued"]


async def test_an_unknown_bulk_action_is_reported(api: httpx.AsyncClient) -> None:
    response = await api.get("/v1/bulk-actions/01938d2c5f3a7be1c04d5a6f7e8091a2")
    assert (response.status_code, response.json()["code"]) == (404, "bulk_action_not_found")


async def test_an_owner_reaches_its_own_jobs_only(owners: Owners) -> None:
    mine, other = (await owners.a.submit())["id"], (await owners.b.submit())["id"]
    action = await owners.a("POST", "/v1/bulk-actions/cancel", 202, json={"all": True})
    assert (action["matching"], action["owner"]) == (1, "a")
    await owners.b("GET", f"/v1/bulk-actions/{action['id']}", 404)
    assert (await owners.b("GET", "/v1/bulk-actions"))["items"] == []

    async def cancelled() -> bool:
        return bool((await owners.a("GET", f"/v1/jobs/{mine}"))["state"] == "cancelled")

    await until(cancelled, "the job is cancelled")
    assert (await owners.b("GET", f"/v1/jobs/{other}"))["state"] == "queued"
    await owners.a("POST", "/v1/bulk-actions/replay", 403, json={"all": True})


async def test_what_an_operator_cancels_is_in_the_audit_log_once(owners: Owners) -> None:
    ids = [(await owners.a.submit())["id"], (await owners.b.submit())["id"]]
    action = await owners.operator("POST", "/v1/bulk-actions/cancel", 202, json={"model": "wine"})

    async def entries() -> list[dict[str, Any]]:
        return list((await owners.admin("GET", "/v1/audit"))["items"])

    async def written() -> bool:
        return any(entry["action"] == "job.cancelled" for entry in await entries())

    await until(written, "the audit log has the cancelled jobs")
    found = {entry["action"]: entry for entry in await entries()}
    assert found["bulk_action.started"]["targets"] == [{"type": "bulk_action", "id": action["id"]}]
    assert found["bulk_action.started"]["after"]["matching"] == 2
    assert found["job.cancelled"]["count"] == 2
    assert {target["id"] for target in found["job.cancelled"]["targets"]} == set(ids)
    assert found["job.cancelled"]["actor"] == found["bulk_action.started"]["actor"]
