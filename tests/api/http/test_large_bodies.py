"""Large bodies: converted in another process, with bounds on how many and on their memory, while small requests are answered."""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import orjson
import pytest

from app.api.http.budget import FREE_BYTES, Budget, Held
from app.api.http.offload import Offload
from app.api.http.reading import submission
from app.api.schemas.results import result_json
from app.core.deliveries import Outcome
from app.core.errors import InvalidInput, Overloaded, PayloadTooLarge
from app.core.tensors import Tensor, decode
from app.settings import Settings
from app.store import keys
from tests.api.conftest import QUEUE, Worker, running

pytestmark = pytest.mark.slow

JSON = {"content-type": "application/json"}
ROW = [0.038, 0.051, 0.062, 0.022, -0.044, -0.035, -0.043, -0.003, 0.02, -0.018]


def body(rows: int, **fields: Any) -> bytes:
    return orjson.dumps({"model": "diabetes", "inputs": [ROW] * rows, **fields})


def tensors(rows: int) -> bytes:
    return orjson.dumps({"inputs": [{"name": "x", "datatype": "FP64", "shape": [rows, 10], "data": ROW * rows}]})


@pytest.fixture
def offload() -> Offload:
    return Offload(Settings(offload_above_bytes=1, offload_waiting=2, offload_memory_mb=512))


async def test_a_large_call_runs_in_another_process_and_a_small_one_here(offload: Offload) -> None:
    other = await offload.run(2, os.getpid)
    assert await offload.run(1, os.getpid) == os.getpid() != other
    assert await offload.run(2, os.getpid) == other


async def test_a_process_that_dies_is_replaced(offload: Offload) -> None:
    before = await offload.run(2, os.getpid)
    with pytest.raises(Overloaded, match="died"):
        await offload.run(2, _die)
    assert await offload.run(2, os.getpid) not in (before, os.getpid())


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _hog() -> int:
    return len([bytes(1 << 20) for _ in range(4096)])


def _refuse() -> None:
    raise InvalidInput("wrong", pointer="/inputs/7")


async def test_a_process_has_a_bound_on_its_memory_and_survives_it(offload: Offload) -> None:
    before = await offload.run(2, os.getpid)
    with pytest.raises(PayloadTooLarge, match="512 MiB"):
        await offload.run(2, _hog)
    assert await offload.run(2, os.getpid) == before


@pytest.mark.parametrize("around", [b"[%b]", b'{"a": [%b]}', b"[[%b]]"])
async def test_a_long_flat_list_ends_no_process(offload: Offload, around: bytes) -> None:
    content = b'{"model": "moods", "inputs": ' + around.replace(b"%b", b",".join([b"0"] * 2_500_000)) + b"}"
    before = await offload.run(2, os.getpid)
    assert (await offload.run(2, submission, content))["model"] == "moods"
    assert await offload.run(2, os.getpid) == before


async def test_a_long_flat_result_ends_no_process(offload: Offload) -> None:
    outputs = [Tensor("predict", "BOOL", (2_500_000,), bytes(2_500_000))]
    before = await offload.run(2, os.getpid)
    assert len(await offload.run(2, result_json, outputs)) == 2_500_000 * len("false,") + 1
    assert await offload.run(2, os.getpid) == before


async def test_an_error_of_the_caller_comes_back_as_it_was(offload: Offload) -> None:
    with pytest.raises(InvalidInput, match="wrong") as refused:
        await offload.run(2, _refuse)
    assert refused.value.pointer == "/inputs/7"


async def test_calls_that_wait_are_bounded(offload: Offload) -> None:
    outcomes = await asyncio.gather(*(offload.run(2, os.getpid) for _ in range(5)), return_exceptions=True)
    assert [type(one) for one in outcomes] == [int, int, Overloaded, Overloaded, Overloaded]


def test_a_budget_refuses_what_goes_beyond_it_and_does_not_count_small_bodies() -> None:
    budget = Budget(100)
    first, second = Held(budget), Held(budget)
    first.grow(FREE_BYTES)
    first.grow(FREE_BYTES + 60)
    first.grow(FREE_BYTES + 90)
    second.grow(FREE_BYTES + 10)
    with pytest.raises(Overloaded, match="limit of 100 bytes"):
        second.grow(FREE_BYTES + 11)
    first.give_back()
    second.grow(FREE_BYTES + 100)
    second.give_back()
    Held(budget).grow(FREE_BYTES + 100)


@pytest.fixture
async def api(configured: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """Bodies above 20 kB are large, and all bodies together have 400 kB."""
    configured.setenv("CELERIAC_OFFLOAD_ABOVE_BYTES", "20000")
    configured.setenv("CELERIAC_OFFLOAD_WAITING", "1")
    configured.setenv("CELERIAC_MAX_BODIES_BYTES", "400000")
    async with running() as client:
        yield client


@pytest.mark.parametrize("rows", [100, 3000])
async def test_a_large_job_is_the_same_job(api: httpx.AsyncClient, worker: Worker, rows: int) -> None:
    headers = {**JSON, "idempotency-key": '"once"'}
    made = (await api.post("/v1/jobs", content=body(rows), headers=headers)).json()
    assert (made["state"], made["rows"]) == ("queued", rows)
    assert (await api.post("/v1/jobs", content=body(rows), headers=headers)).json()["id"] == made["id"]
    other = await api.post("/v1/jobs", content=body(rows, deadline_s=60), headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    delivery = worker.take()
    assert decode(delivery.inputs[0].data, delivery.inputs[0].datatype) == pytest.approx(ROW * rows)
    values = Tensor("predict", "FP64", (rows,), delivery.inputs[0].data[: 8 * rows])
    worker.finish(delivery, Outcome(delivery.jobs[0], outputs=[values]))
    job = (await api.get(f"/v1/jobs/{made['id']}?wait=20")).json()
    assert job["result"] == pytest.approx((ROW * rows)[:rows])


@pytest.mark.parametrize("rows", [100, 3000])
async def test_a_large_inference_is_answered(api: httpx.AsyncClient, worker: Worker, rows: int) -> None:
    await _until(lambda: worker.client.pubsub_channels(keys.reply("*")))
    asked = asyncio.create_task(api.post("/v2/models/diabetes/infer", content=tensors(rows), headers={**JSON, "prefer": "wait=20"}))
    await _until(lambda: worker.client.llen(keys.list_of(QUEUE)) or asked.done())
    delivery = worker.take()
    assert delivery.inputs[0].shape == (rows, 10)
    worker.finish(delivery, Outcome(delivery.jobs[0], outputs=[Tensor("predict", "FP64", (rows,), bytes(8 * rows))]))
    answer = await asked
    assert (answer.status_code, answer.json()["outputs"][0]["data"]) == (200, [0.0] * rows)


@pytest.mark.parametrize(
    ("content", "status", "code", "pointer"),
    [
        (body(2000)[:-1], 400, "invalid_json", None),
        (body(2000).replace(b"]]}", b",1]]}"), 422, "invalid_tensor", "/inputs/1999"),
        (body(2000).replace(b"-0.018]]}", b'"x"]]}'), 422, "invalid_tensor", "/inputs/1999/9"),
        (body(2000).replace(b"diabetes", b"nobody"), 404, "model_not_found", "/model"),
        (body(2000, junk=1), 422, "unknown_field", "/junk"),
        (body(1, junk=[0] * 50_000), 413, "payload_too_large", None),
        (orjson.dumps({"model": "diabetes" + " " * 30_000}), 422, "invalid_input", "/model"),
        (b'{"model": "diabetes", "inputs": ' + b"[" * 500 + b"]" * 500 + b" " * 30_000 + b"}", 422, "invalid_input", ""),
        (b"[" + b" " * 30_000 + b"]", 422, "invalid_input", ""),
        (gzip.compress(body(2000))[:-4], 422, "invalid_input", ""),
    ],
)
async def test_a_large_body_is_refused_as_a_small_one_is(
    api: httpx.AsyncClient, content: bytes, status: int, code: str, pointer: str | None
) -> None:
    headers = {**JSON, "content-encoding": "gzip"} if content[:2] == b"\x1f\x8b" else JSON
    response = await api.post("/v1/jobs", content=content, headers=headers)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code), problem
    assert problem.get("errors", [{"pointer": None}])[0]["pointer"] == pointer


async def test_others_are_answered_while_a_large_body_is_read(api: httpx.AsyncClient) -> None:
    large = asyncio.create_task(api.post("/v1/jobs", content=body(4000), headers=JSON))
    answered = 0
    while not large.done():
        assert (await api.get("/livez")).status_code == 200
        answered += 1
        await asyncio.sleep(0)
    assert large.result().status_code == 202
    assert answered > 20


async def test_large_bodies_beyond_the_bound_are_refused_with_a_time_to_try_again(api: httpx.AsyncClient) -> None:
    responses = await asyncio.gather(*(api.post("/v1/jobs", content=body(1000), headers=JSON) for _ in range(3)))
    assert sorted(one.status_code for one in responses) == [202, 503, 503]
    refused = next(one for one in responses if one.status_code == 503)
    assert (refused.json()["code"], refused.headers["retry-after"]) == ("overloaded", "1")


async def test_unfinished_bodies_together_have_a_bound(api: httpx.AsyncClient) -> None:
    goes_on, half = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield body(1)[:-1] + b" " * 300_000
        half.set()
        yield b" " * 100_000
        await goes_on.wait()
        yield b"}"

    first = asyncio.create_task(api.post("/v1/jobs", content=slowly(), headers=JSON))
    await half.wait()
    refused = await api.post("/v1/jobs", content=body(1) + b" " * 200_000, headers=JSON)
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "overloaded", "1")
    assert (await api.post("/v1/jobs", content=body(1) + b" " * 10_000, headers=JSON)).status_code == 202
    goes_on.set()
    assert (await first).status_code == 202
    assert (await api.post("/v1/jobs", content=body(1) + b" " * 200_000, headers=JSON)).status_code == 202


async def test_a_body_that_takes_too_long_is_refused(configured: pytest.MonkeyPatch) -> None:
    configured.setenv("CELERIAC_API_BODY_S", "0.000001")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * FREE_BYTES

    async with running() as client:
        response = await client.post("/v1/jobs", content=pieces(), headers=JSON)
        assert (response.status_code, response.json()["code"]) == (408, "request_timeout")


async def _until(condition: Callable[[], object]) -> None:
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.01)  # Redis sets no event of ours
    raise AssertionError("it did not come to pass in 30 s")
