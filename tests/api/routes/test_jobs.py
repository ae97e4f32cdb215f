"""Lists of jobs cost a bounded number of round trips, and every 202 says how long the queue is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest
import redis

from app.core.deliveries import Outcome
from app.core.errors import PredictionFailed
from app.core.jobs import new_id
from app.core.tensors import Tensor
from app.core.timestamps import rfc3339
from app.store import keys
from app.store.jobs import LISTED_RESULT_BYTES, LOOKED_AT
from app.store.records import FIELDS, decode, encode_spec
from tests.api.conftest import Worker

pytestmark = pytest.mark.slow

MANY = 5000


def fill(client: redis.Redis, count: int, model: str = "wine", state: str = "succeeded") -> list[str]:
    """Records as the scripts leave them, the oldest first."""
    now = time.time() - count
    ids = [new_id(now + at) for at in range(count)]
    with client.pipeline(transaction=False) as pipe:
        for at, id in enumerate(ids):
            pipe.zadd(keys.JOBS, {id: now + at})
            spec = encode_spec(model, "1", ("predict",), 1, "")
            fields: dict[Any, Any] = {
                "state": state,
                "attempt": 1,
                "spec": spec,
                "created_at": now + at,
                "expires_at": now + 1e6,
                "position": at + 1,
            }
            pipe.hset(keys.job(id), mapping={**fields, "queue": "default", "delivery": "", "revision": 1})
        pipe.execute()
    return ids


def commands(client: redis.Redis) -> int:
    """Packets that the server has read from its clients, about: one a round trip."""
    return int(client.info("stats")["total_reads_processed"])


@pytest.mark.parametrize(
    "query", ["model=nonesuch&limit=1", "state=running&limit=1", "model=nonesuch&state=failed&limit=1", "state=queued&limit=100"]
)
async def test_a_filter_that_matches_nothing_costs_few_round_trips(api: httpx.AsyncClient, worker: Worker, query: str) -> None:
    fill(worker.client, MANY)
    before = commands(worker.client)
    answer = (await api.get(f"/v1/jobs?{query}")).json()
    # The loops of the process ask something too meanwhile; it was a thousand.
    assert commands(worker.client) - before < 100
    assert answer["items"] == []
    pages = 1
    while answer["next"] is not None:
        answer = (await api.get(f"/v1/jobs?{query}&cursor={answer['next']}")).json()
        assert answer["items"] == []
        pages += 1
    assert pages <= MANY // LOOKED_AT + 1


@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.parametrize("query", ["", "model=rare", "state=failed", "model=rare@1&state=failed"])
async def test_pages_list_what_matches_once_and_in_order(api: httpx.AsyncClient, worker: Worker, query: str, limit: int) -> None:
    """Some records have expired, some are broken, and some are of others."""
    expected, every = list[str](), list[str]()
    for _ in range(3):
        every += fill(worker.client, 40)
        found = fill(worker.client, 2, "rare", "failed")
        expected += found
        every += found
    listed = every if not query else expected
    now = time.time()
    times = {id: now - 1000 + at for at, id in enumerate(every)}
    worker.client.zadd(keys.JOBS, dict(times))
    for gone in every[5:30]:
        worker.client.delete(keys.job(gone))
    worker.client.delete(keys.job(every[31]))
    worker.client.rpush(keys.job(every[31]), "x")
    worker.client.zadd(keys.JOBS, {b"\xff\xfe": now, b"x y": now, b"": now - 2000})
    left = [id for id in listed if worker.client.type(keys.job(id)) == b"hash"]
    seen, cursor, pages = list[str](), "", 0
    while True:
        answer = (await api.get(f"/v1/jobs?limit={limit}&{query}" + (f"&cursor={cursor}" if cursor else ""))).json()
        assert len(answer["items"]) <= limit
        seen += [one["id"] for one in answer["items"]]
        pages += 1
        cursor = answer["next"]
        if cursor is None:
            break
        assert pages < 1000
    assert seen == sorted(left, key=times.__getitem__, reverse=True)


async def test_each_filter_selects_the_jobs_that_match(api: httpx.AsyncClient, worker: Worker, wine: dict[str, Any]) -> None:
    failed = (await api.post("/v1/jobs", json={"model": "wine", "inputs": [wine]})).json()["id"]
    worker.finish(worker.take(), Outcome(failed, error=PredictionFailed("it raised")))
    chosen = (await api.put("/v1/jobs/order-4711", json={"model": "digits", "inputs": [[0.0] * 64]})).json()
    for query, expected in {
        "error=prediction_failed": [failed],
        "error=worker_lost": [],
        "kind=prediction": ["order-4711", failed],
        "kind=pipeline": [],
        "pool=default": ["order-4711", failed],
        "pool=gpu": [],
        "id_prefix=order-": ["order-4711"],
        f"id_prefix={failed[:20]}": [failed],
        f"since={chosen['created_at']}": ["order-4711"],
        "until=2026-01-01T00:00:00Z": [],
        "owner=default&kind=prediction&error=prediction_failed": [failed],
        "owner=nobody": [],
    }.items():
        listed = (await api.get(f"/v1/jobs?{query}")).json()
        assert ([job["id"] for job in listed["items"]], listed["next"]) == (expected, None), query


@pytest.mark.parametrize("limit", [1, 4, 100])
async def test_pages_end_with_the_span_of_time(api: httpx.AsyncClient, worker: Worker, limit: int) -> None:
    ids = fill(worker.client, 12)
    times = [worker.client.zscore(keys.JOBS, id) for id in ids]
    span = "&".join(f"{name}={quote(rfc3339(times[at]) or '')}" for name, at in (("since", 3), ("until", 9)))
    seen, cursor = list[str](), ""
    while cursor is not None:
        page = (await api.get(f"/v1/jobs?limit={limit}&{span}" + (f"&cursor={cursor}" if cursor else ""))).json()
        seen += [job["id"] for job in page["items"]]
        cursor = page["next"]
    # The times of the query have milliseconds, those of the jobs have microseconds.
    assert set(ids[4:9]) <= set(seen) <= set(ids[3:10])
    assert seen == sorted(seen, key=ids.index, reverse=True)


async def behind(api: httpx.AsyncClient, wine: dict[str, Any], count: int) -> None:
    for _ in range(count):
        assert (await api.post("/v1/jobs", json={"model": "wine", "inputs": [wine]})).status_code == 202


Ask = Callable[[httpx.AsyncClient, dict[str, Any]], Awaitable[httpx.Response]]


def ask(path: str, headers: dict[str, str] | None = None, method: str = "POST") -> Ask:
    async def send(api: httpx.AsyncClient, wine: dict[str, Any]) -> httpx.Response:
        body: Any = {"model": "wine", "inputs": [wine]}
        if path.startswith("/v2"):
            kinds = {str: "BYTES", float: "FP64", int: "FP64"}
            inputs = [
                {"name": name, "shape": [1], "datatype": kinds.get(type(value), "FP64"), "data": [value]} for name, value in wine.items()
            ]
            body = {"inputs": inputs}
        return await api.request(method, path, json=body, headers=headers)

    return send


@pytest.mark.parametrize(
    "send",
    [
        ask("/v1/jobs"),
        ask("/v1/jobs?wait=0.2"),
        ask("/v1/jobs", {"prefer": "wait=0"}),
        ask("/v1/jobs", {"prefer": "respond-async"}),
        ask("/v1/jobs", {"prefer": "respond-async, wait=1"}),
        ask("/v1/jobs", {"idempotency-key": '"a key of ours"'}),
        ask("/v1/jobs/order-4712", method="PUT"),
        ask("/v1/jobs/order-4713?wait=0.2", method="PUT"),
        ask("/v2/models/wine/infer", {"prefer": "respond-async"}),
        ask("/v2/models/wine/infer", {"prefer": "wait=1"}),
    ],
)
async def test_every_202_says_where_the_job_is_in_the_queue(api: httpx.AsyncClient, wine: dict[str, Any], send: Ask) -> None:
    await behind(api, wine, 3)
    answer = await send(api, wine)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert (job["state"], job["queue_position"]) == ("queued", 4)
    read = orjson.loads((await api.get(f"/v1/jobs/{job['id']}")).content)
    assert set(read) == set(job)


async def test_jobs_that_have_left_the_queue_no_longer_count(api: httpx.AsyncClient, wine: dict[str, Any], worker: Worker) -> None:
    await asyncio.gather(*(behind(api, wine, 1) for _ in range(4)))
    while worker.client.llen(keys.list_of("default")):
        worker.take()
    job = (await api.post("/v1/jobs", json={"model": "wine", "inputs": [wine]})).json()
    assert job["queue_position"] == 1


class Recorded(dict[bytes, bytes]):
    """A record that notes which of its fields are read."""

    def __init__(self, fields: dict[bytes, bytes]) -> None:
        super().__init__(fields)
        self.read: set[bytes] = set()

    def __getitem__(self, name: bytes) -> bytes:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: bytes, default: Any = None) -> Any:
        return self[name]


def test_the_fields_of_a_record_are_those_that_are_decoded() -> None:
    spec = encode_spec("wine", "1", ("predict",), 1, "")
    values = {b"spec": spec, b"state": b"running", b"error": b"{}", b"progress": b'[0.5, ""]', b"webhook": b""}
    record = Recorded(dict.fromkeys((*FIELDS, b"result"), b"1") | values)
    assert decode("01", record) is not None
    assert record.read == {*FIELDS, b"result"}


@pytest.mark.parametrize("rows", [1, 1000, 100_000])
async def test_a_list_omits_a_large_result_and_says_so(api: httpx.AsyncClient, worker: Worker, rows: int) -> None:
    id = (await api.post("/v1/jobs", json={"model": "diabetes", "inputs": [[0.0] * 10]})).json()["id"]
    worker.finish(worker.take(), Outcome(id, outputs=[Tensor("predict", "FP64", (rows,), bytes(8 * rows))]))
    whole = (await api.get(f"/v1/jobs/{id}")).json()
    assert whole["result"] == [0.0] * rows
    [listed] = (await api.get("/v1/jobs")).json()["items"]
    if 8 * rows < LISTED_RESULT_BYTES:
        assert listed == whole
    else:
        assert listed == {name: value for name, value in whole.items() if name != "result"} | {"result_omitted": True}
