"""`?details=true` adds the inputs of a job and its attempts, whatever became of it."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from app.core.deliveries import Delivery, Outcome
from app.core.errors import PredictionFailed
from app.core.jobs import new_id
from app.core.tensors import Tensor, encode
from app.store import keys, scripts
from tests.api.conftest import QUEUE, Worker
from tests.store.conftest import message

pytestmark = pytest.mark.slow

ROW = [0.0] * 64


async def submit(api: httpx.AsyncClient, inputs: Any = None, model: str = "digits") -> str:
    response = await api.post("/v1/jobs", json={"model": model, "inputs": inputs or [ROW]})
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


def succeeded(id: str, attempt: int = 1) -> Outcome:
    return Outcome(id, [Tensor("predict", "INT64", (1,), encode([1], "INT64"))], attempt=attempt)


def requeue(worker: Worker, delivery: Delivery) -> None:
    """End an attempt that is to be tried again."""
    again = delivery.only([0], new_id(time.time()))
    scripts.run(worker.client, scripts.requeue(QUEUE, delivery.id, [(again, message(again.id), 0.0, 1)], ttl=60, give_back=False))


async def details(api: httpx.AsyncClient, id: str) -> dict[str, Any]:
    response = await api.get(f"/v1/jobs/{id}?details=true")
    assert response.status_code == 200, response.text
    return dict(response.json())


async def test_a_job_that_succeeded_shows_its_input_and_its_attempt(api: httpx.AsyncClient, worker: Worker) -> None:
    id = await submit(api)
    worker.finish(worker.take(), succeeded(id))
    job = await details(api, id)
    assert job["inputs"] == [ROW]
    [attempt] = job["attempts"]
    assert (attempt["worker"], attempt["outcome"]) == ("host/1", "succeeded")
    assert (attempt["started_at"], attempt["finished_at"]) == (job["started_at"], job["finished_at"])
    assert 0 < worker.client.ttl(next(worker.client.scan_iter(keys.job_inputs("*")))) <= 3600


async def test_a_record_that_was_read_without_details_has_neither(api: httpx.AsyncClient, worker: Worker) -> None:
    id = await submit(api)
    worker.finish(worker.take(), succeeded(id))
    assert not {"inputs", "attempts"} & (await api.get(f"/v1/jobs/{id}")).json().keys()


async def test_jobs_of_one_delivery_show_their_own_rows(api: httpx.AsyncClient, worker: Worker, wine: dict[str, Any]) -> None:
    body = {"model": "wine", "inputs": [wine, wine]}
    ids = [await submit(api, [wine], "wine"), (await api.post("/v1/jobs", json=body)).json()["id"]]
    for _ in ids:
        delivery = worker.take()
        worker.finish(delivery, *map(succeeded, delivery.jobs))
    assert [(await details(api, id))["inputs"] for id in ids] == [[wine], [wine, wine]]


async def test_a_retried_job_shows_both_attempts(api: httpx.AsyncClient, worker: Worker) -> None:
    id = await submit(api)
    requeue(worker, worker.take())
    assert [attempt["outcome"] for attempt in (await details(api, id))["attempts"]] == ["retried"]
    delivery = worker.take()
    assert [attempt["outcome"] for attempt in (await details(api, id))["attempts"]] == ["retried", "running"]
    worker.finish(delivery, succeeded(id, attempt=2))
    first, second = (await details(api, id))["attempts"]
    assert (first["outcome"], second["outcome"]) == ("retried", "succeeded")
    assert first["started_at"] <= first["finished_at"] <= second["started_at"]


async def test_an_attempt_whose_worker_died_has_no_end(api: httpx.AsyncClient, worker: Worker) -> None:
    id = await submit(api)
    delivery = worker.take()
    worker.client.rpush(keys.list_of(QUEUE), message(delivery.id))
    worker.take()
    first, second = (await details(api, id))["attempts"]
    assert (first["outcome"], first["finished_at"], second["outcome"]) == ("worker_lost", None, "running")


@pytest.mark.parametrize("fails", [True, False])
async def test_open_and_failed_jobs_show_their_input(api: httpx.AsyncClient, worker: Worker, fails: bool) -> None:
    id = await submit(api)
    if fails:
        worker.finish(worker.take(), Outcome(id, error=PredictionFailed("it raised")), input_bytes=0)
    job = await details(api, id)
    assert job["inputs"] == [ROW]
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["failed"] * fails


@pytest.mark.parametrize("most", [0, 100])
async def test_a_larger_input_is_not_kept(api: httpx.AsyncClient, worker: Worker, most: int) -> None:
    id = await submit(api)
    worker.finish(worker.take(), succeeded(id), input_bytes=most)
    job = await details(api, id)
    assert "inputs" not in job
    assert job["result"] == [1]
    assert not list(worker.client.scan_iter(keys.job_inputs("*")))


async def test_an_input_whose_blob_is_gone_is_left_out(api: httpx.AsyncClient, worker: Worker) -> None:
    id = await submit(api)
    delivery = worker.take()
    description = b'["%s",1,""]' % (b"0" * 32,)
    reference = b"\xff\xff\xff\xffblob" + len(description).to_bytes(4, "little") + description
    worker.client.hset(keys.delivery(delivery.id), "body", reference)
    assert "inputs" not in await details(api, id)
