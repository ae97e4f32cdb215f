"""Keys of a wrong type and members that make no sense: no list is refused for them, no loop ends, and what is right continues."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import httpx
import pytest
import redis

from app.api.app import create
from app.broker import names
from app.core.deliveries import Outcome
from app.core.tensors import Tensor, encode
from app.settings import settings
from app.store import keys
from app.store.quarantine import key_types, read
from tests.api.conftest import Worker, lifespan, until

pytestmark = pytest.mark.slow

LISTS: Final = (
    "jobs",
    "batches",
    "schedules",
    "webhooks",
    "trainings",
    "dead-letters",
    "models",
    "pools",
    "pipelines",
    "webhooks/default/deliveries",
)
FIXED: Final = key_types({"default": names.queues("default"), "training": names.queues("training")})
OF_ONE_QUEUE: Final = key_types({"default": [names.interactive("default")]})
GARBAGE: Final = (
    b"\xff\xfe\x00",
    b"",
    b" ",
    b"x",
    b"nokind:\xe2\x82",
    b"nokind:x",
    b"batch:",
    b"batch:x:y z",
    b"schedule:@",
    b"schedule:a@b",
    b"pipeline:\n",
    b"[" * 200_000,
)


async def refused_lists(api: httpx.AsyncClient) -> dict[str, int]:
    answers = {name: (await api.get(f"/v1/{name}")).status_code for name in LISTS}
    return {name: status for name, status in answers.items() if status != 200}


def spoil(client: redis.Redis, key: str, kind: str) -> None:
    """Any type but the one that the key must have."""
    client.delete(key)
    if kind == "list":
        client.hset(key, "a", "b")
    else:
        client.rpush(key, "a", "b")


@pytest.mark.parametrize("key", [key if key in OF_ONE_QUEUE else pytest.param(key, marks=pytest.mark.extended) for key in FIXED])
async def test_a_key_of_a_wrong_type_is_moved_aside_and_everything_continues(
    configured: pytest.MonkeyPatch, worker: Worker, wine: dict[str, Any], key: str
) -> None:
    configured.setattr("app.broker.maintenance._INTERVAL_S", 0.02)
    spoil(worker.client, key, FIXED[key])
    app = create()
    async with lifespan(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as api:

        async def well() -> bool:
            return not await refused_lists(api) and worker.client.exists(keys.ASIDE + key) == 1

        await until(well, key)
        assert (await api.post("/v1/jobs", json={"model": "wine", "inputs": [wine]})).status_code == 202
        worker.finish(worker.take())
        assert (await api.get("/readyz")).status_code == (await api.get("/livez")).status_code == 200


@pytest.mark.parametrize("key", [keys.JOBS, keys.MAINTENANCE, keys.counts("default"), keys.list_of("default")])
async def test_a_key_that_gets_a_wrong_type_is_moved_aside_when_something_meets_it(
    configured: pytest.MonkeyPatch, worker: Worker, wine: dict[str, Any], key: str
) -> None:
    configured.setattr("app.broker.maintenance._CHECK_TYPES_EVERY", 1_000_000)
    app = create()
    async with lifespan(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as api:

        async def maintained() -> bool:
            return worker.client.exists(keys.MAINTENANCE) == 1

        await until(maintained, "the first check is over")
        spoil(worker.client, key, FIXED[key])

        async def well() -> bool:
            submitted = (await api.post("/v1/jobs", json={"model": "wine", "inputs": [wine]})).status_code
            return submitted == 202 and not await refused_lists(api) and worker.client.exists(keys.ASIDE + key) == 1

        await until(well, key)


INDICES: Final = {
    key: kind for key, kind in FIXED.items() if kind in ("zset", "set", "hash") and "unacked" not in key and "counts" not in key
}


async def test_members_that_make_no_sense_end_no_loop(configured: pytest.MonkeyPatch, worker: Worker, wine: dict[str, Any]) -> None:
    configured.setattr("app.broker.maintenance._INTERVAL_S", 0.02)
    configured.setenv("CELERIAC_WEBHOOK_ALLOW_PRIVATE", "true")
    settings.cache_clear()
    client = worker.client
    for key, kind in INDICES.items():
        for member in GARBAGE:
            if kind == "zset":
                client.zadd(key, {member: 0})
            elif kind == "set":
                client.sadd(key, member)
            else:
                client.hset(key, member, member)
    app = create()
    async with lifespan(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as api:
        container = app._app._app.state.container  # type: ignore[attr-defined]
        began = time.monotonic()

        async def turned() -> bool:
            return all(loop.turned_at > began + 1 for loop in container.loops._loops.values())

        await until(turned, "every loop turns")
        assert await refused_lists(api) == {}
        # Each loop still does its work: a job ends, its webhook is called, a batch's parent is looked at.
        job = (await api.post("/v1/jobs", json={"model": "wine", "inputs": [wine], "webhook": {"url": "http://127.0.0.1:9/hook"}})).json()
        assert "id" in job, job
        delivery = worker.take()
        worker.finish(delivery, Outcome(job["id"], [Tensor("predict", "INT64", (1,), encode([1], "INT64"))], attempt=1))

        async def reported() -> bool:
            listed = (await api.get("/v1/webhooks/default/deliveries")).json()["items"]
            return any(one["id"].endswith(job["id"]) for one in listed)

        await until(reported, "the event is recorded for the webhook")
        client.zadd(keys.RECONCILE, {"batch:one": 0})

        async def reconciled() -> bool:
            return client.zscore(keys.RECONCILE, "batch:one") is None

        await until(reconciled, "a parent is reconciled")

        async def gone() -> bool:
            left = [(key, member) for key in (keys.EVENTS, keys.RECONCILE, keys.EXPIRING) for member in client.zrange(key, 0, -1)]
            return not any(b"\xff" in member for _, member in left)

        await until(gone, "what is no UTF-8 is set aside")
        notes = {(note.index, note.member) for note in read(client, 1000)}
        assert {(key, "\\xff\\xfe\x00") for key in (keys.EVENTS, keys.RECONCILE, keys.EXPIRING)} <= notes


RECORDS: Final[dict[str, tuple[str, Callable[[str], str], str]]] = {
    "jobs": (keys.JOBS, keys.job, "order-4712"),
    "trainings": (keys.TRAININGS, keys.job, "order-4712"),
    "batches": (keys.BATCHES, keys.batch, "batch_1"),
    "schedules": (keys.SCHEDULES, keys.schedule, "nightly"),
    "dead-letters": (keys.DEAD, keys.dead, "order-4712"),
    "webhooks/default/deliveries": (keys.webhook_deliveries_of("default"), keys.webhook_delivery, "default.evt_completed_x"),
}
FIELDS: Final[dict[Any, Any]] = {
    "spec": "[1",
    "state": "x",
    "order": "{",
    "status": "?",
    "definition": "[" * 200_000,
    "body": "x",
    "error": "{",
    "died_at": "never",
}


@pytest.mark.parametrize("broken", ["type", "fields", "missing fields", "bytes"])
@pytest.mark.parametrize("name", RECORDS)
async def test_a_record_that_cannot_be_read_is_left_out_of_its_list(api: httpx.AsyncClient, worker: Worker, name: str, broken: str) -> None:
    index, key, id = RECORDS[name]
    client = worker.client
    client.zadd(index, {key(id) if name == "schedules" else id: time.time() + 1000})
    if broken == "type":
        client.rpush(key(id), "x")
    elif broken == "fields":
        client.hset(key(id), mapping=dict(FIELDS))
    elif broken == "bytes":
        client.hset(key(id), mapping=dict.fromkeys(FIELDS, b"\xff\xfe"))
    else:
        client.hset(key(id), mapping={"spec": "[]", "order": "{}", "definition": "{}", "body": "{}", "error": "{}", "died_at": "0"})
    answer = await api.get(f"/v1/{name}")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found.get("items", found.get("data")) == []
    one = await api.get(f"/v1/{name}/{id.removeprefix('default.')}")
    assert one.status_code == 500, one.text
    assert one.json()["code"] == "record_unreadable"


async def test_one_broken_webhook_or_worker_hides_no_other(api: httpx.AsyncClient, worker: Worker) -> None:
    client = worker.client
    for member in GARBAGE[:4]:
        client.hset(keys.WEBHOOKS, b"wh_" + member, member)
        client.hset(keys.WORKERS, member, b'{"name": 1}')
        client.hset(keys.MANIFESTS, member, b"{}")
    client.rpush(keys.webhook_health("wh_x"), "1")
    assert (await api.get("/v1/webhooks")).json()["items"] == []
    assert await refused_lists(api) == {}


async def test_a_loop_that_makes_no_progress_turns_readiness_red_and_then_liveness(configured: pytest.MonkeyPatch) -> None:
    configured.setenv("CELERIAC_LOOP_STALL_S", "0.5")
    configured.setenv("CELERIAC_LOOP_DEAD_S", "1.5")
    settings.cache_clear()
    app = create()
    async with lifespan(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as api:
        container = app._app._app.state.container  # type: ignore[attr-defined]
        waiting = asyncio.Event()

        async def hang() -> int:
            await waiting.wait()
            return 0

        container.maintenance.round = hang

        async def unready() -> bool:
            # On a slow machine other loops are late, too.
            answer = await api.get("/readyz")
            return answer.status_code == 503 and "the loop maintenance has not turned" in answer.json()["detail"]

        async def dead() -> bool:
            return (await api.get("/livez")).status_code == 503

        await until(unready, "the loop that hangs makes the process unready")
        await until(dead, "and then not alive")
        waiting.set()
        del container.maintenance.round

        async def well() -> bool:
            return (await api.get("/readyz")).status_code == (await api.get("/livez")).status_code == 200

        await until(well, "a loop that turns again is well again")
        text = (await api.get("/metrics")).text
        assert "celeriac_event_loop_longest_pause_seconds" in text
        assert 'celeriac_loop_last_turn_timestamp_seconds{loop="catalogue"}' in text
