"""Jobs belong to the owner of the key that submitted them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.core.deliveries import Outcome
from app.core.tensors import Tensor, encode
from app.store import keys
from tests.api.conftest import Worker
from tests.api.keys import bearer
from tests.api.owners import Owners, owned

pytestmark = pytest.mark.slow


@pytest.fixture
async def owners(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> AsyncIterator[Owners]:
    async with owned(configured, wine) as made:
        yield made


def ended(worker: Worker) -> None:
    """Lets the worker end the next delivery."""
    delivery = worker.take()
    output = [Tensor("predict", "INT64", (1,), encode([1], "INT64"))]
    worker.finish(delivery, *(Outcome(job, output) for job in delivery.jobs))


async def test_a_job_of_another_owner_does_not_exist_and_cannot_be_touched(owners: Owners, worker: Worker) -> None:
    id = (await owners.a.submit())["id"]
    missing = await owners.b("GET", "/v1/jobs/01938d2c5f3a7be1c04d5a6f7e8091a2", 410)
    for method, path in (("GET", ""), ("GET", "?wait=1"), ("DELETE", ""), ("GET", "/events"), ("POST", "/retry")):
        problem = await owners.b(method, f"/v1/jobs/{id}{path}", 404)
        assert problem["detail"] == f"Job '{id}' does not exist."
    assert missing["code"] == "job_expired", "the age of an ID is in the ID"
    record = worker.client.hgetall(keys.job(id))
    assert (record[b"state"], b"watched" in record) == (b"queued", False)
    assert (await owners.a("GET", f"/v1/jobs/{id}"))["owner"] == "a"


async def test_a_list_has_the_jobs_of_its_owner_only(owners: Owners) -> None:
    first, second = (await owners.a.submit())["id"], (await owners.b.submit())["id"]
    third = (await owners.default.submit())["id"]
    assert await owners.a.listed() == [first]
    assert await owners.b.listed() == [second]
    assert await owners.default.listed() == [third]
    assert await owners.operator.listed() == [third, second, first]
    assert (await owners.b("GET", f"/v1/jobs?cursor={first}"))["items"] == []


async def test_only_who_sees_all_owners_lists_the_jobs_of_another(owners: Owners) -> None:
    first, second = (await owners.a.submit())["id"], (await owners.b.submit())["id"]
    assert [job["id"] for job in (await owners.operator("GET", "/v1/jobs?owner=b"))["items"]] == [second]
    assert [job["id"] for job in (await owners.a("GET", "/v1/jobs?owner=a"))["items"]] == [first]
    assert (await owners.a("GET", "/v1/jobs?owner=b", 403))["code"] == "scope_missing"
    await owners.a("POST", "/v1/bulk-actions/cancel", 403, json={"owner": "b"})


async def test_an_id_that_an_owner_chose_is_found_by_its_beginning(owners: Owners) -> None:
    await owners.a.put("order-4711")
    assert [job["id"] for job in (await owners.a("GET", "/v1/jobs?id_prefix=order"))["items"]] == ["order-4711"]


async def test_an_operator_reads_and_cancels_the_jobs_of_all_owners(owners: Owners) -> None:
    id = (await owners.a.submit())["id"]
    assert (await owners.operator("GET", f"/v1/jobs/{id}"))["owner"] == "a"
    assert (await owners.operator("DELETE", f"/v1/jobs/{id}"))["state"] == "cancelled"
    assert (await owners.a("GET", f"/v1/jobs/{id}"))["state"] == "cancelled"


async def test_one_idempotency_key_of_two_owners_means_two_jobs(owners: Owners) -> None:
    headers = {"idempotency-key": '"today"'}
    first = await owners.a.submit(headers=headers)
    second = await owners.b.submit(headers=headers)
    assert first["id"] == second["id"], "the ID follows from the key, and both see their own job by it"
    assert (first["owner"], second["owner"]) == ("a", "b")
    assert (await owners.a("DELETE", f"/v1/jobs/{first['id']}"))["state"] == "cancelled"
    assert (await owners.b.submit(headers=headers))["state"] == "queued"
    assert (await owners.a.submit(200, headers=headers))["state"] == "cancelled"


async def test_an_id_that_two_owners_chose_means_two_jobs(owners: Owners, worker: Worker) -> None:
    for at, owner in enumerate((owners.default, owners.a, owners.b)):
        assert (await owner.put("order-4711", deadline_s=60 + at))["id"] == "order-4711"
    assert (await owners.a("DELETE", "/v1/jobs/order-4711"))["state"] == "cancelled"
    assert (await owners.a.put("order-4711", 200, deadline_s=61))["state"] == "cancelled"
    assert (await owners.a.put("order-4711", 409, deadline_s=62))["code"] == "job_conflict"
    states = [(await owner("GET", "/v1/jobs/order-4711"))["state"] for owner in (owners.default, owners.a, owners.b)]
    assert states == ["queued", "cancelled", "queued"]
    assert await owners.a.listed() == ["order-4711"]
    listed = await owners.operator.listed()
    assert len(set(listed)) == 3, "an operator sees which is whose"
    seen = [(await owners.operator("GET", f"/v1/jobs/{id}")) for id in listed]
    assert [(job["id"], job.get("owner")) for job in seen] == list(zip(listed, ["b", "a", None], strict=True))


@pytest.mark.parametrize("name", ["b", "default"])
async def test_the_generated_id_of_another_owners_job_can_be_chosen(owners: Owners, name: str) -> None:
    id, other = (await owners.a.submit())["id"], getattr(owners, name)
    assert (await other.put(id))["id"] == id
    assert (await other("DELETE", f"/v1/jobs/{id}"))["state"] == "cancelled"
    assert (await owners.a("GET", f"/v1/jobs/{id}"))["state"] == "queued"


async def test_a_stream_shows_the_owner_the_id_that_it_chose(owners: Owners, worker: Worker) -> None:
    await owners.a.put("order-4711")
    ended(worker)
    headers = bearer(owners.a.key)
    response = await owners.a.api.get("/v1/jobs/order-4711/events", headers=headers)
    assert response.headers["location"] == "/v1/jobs/order-4711"
    assert '"id":"order-4711"' in response.text
    assert '"state":"succeeded"' in response.text


async def test_a_waiting_owner_gets_the_own_job_only(owners: Owners, worker: Worker) -> None:
    for owner in (owners.a, owners.b):
        await owner.put("order-4711")
    await owners.a("DELETE", "/v1/jobs/order-4711")
    ended(worker)
    assert (await owners.a("GET", "/v1/jobs/order-4711?wait=5"))["state"] == "cancelled"
