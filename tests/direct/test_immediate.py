"""Predictions that are answered without a call of the application: which they are, and that they are as all others."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pyarrow.parquet as pq
import pytest
from prometheus_client import REGISTRY
from starlette.types import Scope

from app.api.app import create
from app.api.server.immediate import ImmediatePredictions
from app.core.capture import Capture
from app.patches.uvicorn_protocol import IMMEDIATE
from app.settings import settings
from app.store.files import captures
from tests.api.conftest import lifespan, until
from tests.api.keys import bearer, bootstrap
from tests.direct.conftest import Heartbeat, body, publish_compiled, rows, until_direct

pytestmark = pytest.mark.slow
JSON = (b"content-type", b"application/json")
PATH = "/v2/models/lr/infer"
USUAL = orjson.dumps(body(rows(2)))


class Received:
    """A request as a connection passes it on, and its response."""

    def __init__(
        self, body: bytes = USUAL, path: str = PATH, *headers: tuple[bytes, bytes], method: str = "POST", query: bytes = b""
    ) -> None:
        self.scope: Scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query,
            "headers": [(b"host", b"api"), *headers],
        }
        self.body = body
        self.gone = False
        self.response: tuple[int, bytes, bytes] | None = None
        self.ended = asyncio.Event()

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        self.response = status, head, body
        self.ended.set()

    def serve(self, app: Any = None) -> None:
        pytest.fail(f"the application is called: {app}")


Scene = tuple[httpx.AsyncClient, ImmediatePredictions]


@asynccontextmanager
async def serving(heartbeat: Heartbeat) -> AsyncIterator[Scene]:
    settings.cache_clear()
    heartbeat.serves(("lr", "1"), ("plain", "1"))
    app = create()
    async with lifespan(app) as state, httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
        yield client, state[IMMEDIATE]
    settings.cache_clear()


@pytest.fixture
async def scene(configured: pytest.MonkeyPatch, heartbeat: Heartbeat) -> AsyncIterator[Scene]:
    async with serving(heartbeat) as found:
        await until_direct(found[0])
        yield found


@pytest.fixture
def secured(configured: pytest.MonkeyPatch) -> None:
    configured.setenv("CELERIAC_AUTH", "keys")
    settings.cache_clear()


async def answered(immediate: ImmediatePredictions, received: Received) -> tuple[int, dict[str, str], dict[str, Any]]:
    assert immediate.begin(received)
    await received.ended.wait()
    assert received.response is not None
    status, head, content = received.response
    lines = [line.split(": ", 1) for line in head.decode().strip().split("\r\n")]
    return status, dict(lines), orjson.loads(content)


@pytest.mark.parametrize("path", [PATH, "/v2/models/lr/versions/1/infer"])
async def test_the_response_is_that_of_the_application(scene: Scene, path: str) -> None:
    api, immediate = scene
    status, headers, found = await answered(immediate, Received(USUAL, path, JSON))
    ordinary = await api.post(path, content=USUAL, headers={"content-type": "application/json"})
    assert status == ordinary.status_code == 200
    assert headers.keys() == ordinary.headers.keys() - {"content-length"}
    assert headers | {"x-request-id": ""} == {name: ordinary.headers[name] for name in headers} | {"x-request-id": ""}
    assert found | {"id": ""} == ordinary.json() | {"id": ""}


async def test_the_id_of_the_caller_comes_back(scene: Scene) -> None:
    _, _, found = await answered(scene[1], Received(orjson.dumps(body(rows(1), id="mine")), PATH, JSON))
    assert found["id"] == "mine"


async def test_requests_of_one_turn_get_their_own_answers(scene: Scene) -> None:
    api, immediate = scene
    received = [Received(orjson.dumps(body(rows(1 + seed % 3, seed), id=str(seed))), PATH, JSON) for seed in range(20)]
    assert all(immediate.begin(one) for one in received)
    for seed, one in enumerate(received):
        await one.ended.wait()
        assert one.response is not None
        expected = await api.post(PATH, json=body(rows(1 + seed % 3, seed), id=str(seed)))
        assert orjson.loads(one.response[2]) == expected.json()


async def test_it_is_counted_as_any_request(scene: Scene) -> None:
    def counted() -> list[float | None]:
        route = {"method": "POST", "route": "/v2/models/{name}/infer"}
        lane = {"model": "lr", "version": "1", "lane": "direct"}
        return [
            REGISTRY.get_sample_value("celeriac_http_requests_total", route | {"status": "200"}),
            REGISTRY.get_sample_value("celeriac_http_request_seconds_count", route),
            REGISTRY.get_sample_value("celeriac_inferences_total", lane),
        ]

    await answered(scene[1], Received(USUAL, PATH, JSON))
    before = counted()
    await answered(scene[1], Received(USUAL, PATH, JSON))
    assert [after - (value or 0) for after, value in zip(counted(), before, strict=True) if after is not None] == [1, 1, 1]


UNUSUAL = {
    "another path": Received(USUAL, "/v1/models/lr:predict", JSON),
    "another method": Received(USUAL, PATH, JSON, method="PUT"),
    "a query": Received(USUAL, PATH, JSON, query=b"wait=1"),
    "a preference": Received(USUAL, PATH, JSON, (b"prefer", b"respond-async")),
    "a key of a repeated request": Received(USUAL, PATH, JSON, (b"idempotency-key", b'"a"')),
    "a trace": Received(USUAL, PATH, JSON, (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")),
    "an ID of the request": Received(USUAL, PATH, JSON, (b"x-request-id", b"mine")),
    "a page of another origin": Received(USUAL, PATH, JSON, (b"origin", b"http://evil")),
    "an encoding": Received(USUAL, PATH, JSON, (b"content-encoding", b"gzip")),
    "raw data": Received(USUAL, PATH, JSON, (b"inference-header-content-length", b"10")),
    "no content type": Received(USUAL, PATH),
    "another content type": Received(USUAL, PATH, (b"content-type", b"text/csv")),
    "a header twice": Received(USUAL, PATH, JSON, JSON),
    "a large body": Received(USUAL + b" " * (64 << 10), PATH, JSON),
    "no JSON": Received(b"{", PATH, JSON),
    "an unknown model": Received(USUAL, "/v2/models/none/infer", JSON),
    "an unknown version": Received(USUAL, "/v2/models/lr/versions/9/infer", JSON),
    "a name that is none": Received(USUAL, "/v2/models/%20/infer", JSON),
    "a model of the queue": Received(USUAL, "/v2/models/plain/infer", JSON),
    "a wrong shape": Received(orjson.dumps(body([[1.0]])), PATH, JSON),
    "an unknown field": Received(orjson.dumps(body(rows(1), more=1)), PATH, JSON),
    "raw outputs": Received(orjson.dumps(body(rows(1), parameters={"binary_data_output": True})), PATH, JSON),
    "a priority": Received(orjson.dumps(body(rows(1), parameters={"priority": 1})), PATH, JSON),
    "many rows": Received(orjson.dumps(body(rows(600).round(1))), PATH, JSON),
}


@pytest.mark.parametrize("unusual", list(UNUSUAL))
async def test_a_request_with_something_else_takes_the_ordinary_way(scene: Scene, unusual: str) -> None:
    assert not scene[1].begin(UNUSUAL[unusual])


async def test_a_refusal_of_the_lane_is_counted_once(scene: Scene) -> None:
    api, immediate = scene

    def refused() -> float:
        return REGISTRY.get_sample_value("celeriac_direct_refused_total", {"reason": "size"}) or 0

    content, before = orjson.dumps(body(rows(600).round(1))), refused()
    assert not immediate.begin(Received(content, PATH, JSON))
    assert refused() == before
    await api.post(PATH, content=content, headers={"content-type": "application/json"})
    assert refused() == before + 1


async def test_a_paused_model_takes_the_ordinary_way(scene: Scene) -> None:
    api, immediate = scene
    await api.post("/v1/models/lr/pause", json={"reason": "a test"})

    async def ordinary() -> bool:
        return not immediate.begin(Received(USUAL, PATH, JSON))

    await until(ordinary, "the pause is known")


async def test_a_known_key_is_enough_and_any_other_takes_the_ordinary_way(secured: None, heartbeat: Heartbeat) -> None:
    _, admin = await bootstrap()
    async with serving(heartbeat) as (api, immediate):
        api.headers.update(bearer(admin))
        await until_direct(api)
        viewer = (await api.post("/v1/keys", json={"name": "viewer", "role": "viewer"})).json()["key"]
        other = (await api.post("/v1/keys", json={"name": "other", "role": "user", "models": ["wine"]})).json()["key"]
        limited = (await api.post("/v1/keys", json={"name": "limited", "role": "user", "limits": {"requests_per_minute": 9}})).json()["key"]
        for text in (viewer, other, limited):
            await api.get("/v1/limits", headers=bearer(text))
        for headers in (
            [],
            [(b"authorization", b"Bearer " + viewer.encode())],
            [(b"authorization", b"Bearer " + other.encode())],
            [(b"authorization", b"Bearer " + limited.encode())],
            [(b"authorization", b"Bearer " + admin.encode()[:-1])],
            [(b"authorization", b"Basic " + admin.encode())],
            [(b"authorization", b"Bearer " + admin.encode()), (b"x-api-key", admin.encode())],
            [(b"authorization", b"Bearer " + admin.encode()), (b"celeriac-owner", b"team-a")],
        ):
            assert not immediate.begin(Received(USUAL, PATH, JSON, *headers)), headers
        for header in ((b"authorization", b"Bearer " + admin.encode()), (b"x-api-key", admin.encode())):
            await api.get("/v1/limits")  # a record that is five seconds old is read again
            status, _, _ = await answered(immediate, Received(USUAL, PATH, JSON, header))
            assert status == 200


async def test_the_rows_of_requests_in_one_turn_are_captured_for_their_owners(
    configured: pytest.MonkeyPatch, secured: None, heartbeat: Heartbeat, tmp_path: Path
) -> None:
    publish_compiled(tmp_path / "models", capture=Capture(1))
    configured.setenv("CELERIAC_MODELS", str(tmp_path / "models"))
    configured.setenv("CELERIAC_FILES", str(tmp_path / "files"))
    _, admin = await bootstrap()
    async with serving(heartbeat) as (api, immediate):
        api.headers.update(bearer(admin))
        await until_direct(api)
        texts = [(await bootstrap(owner=owner, role="user"))[1] for owner in ("a", "b")]
        for text in texts:
            await api.get("/v1/limits", headers=bearer(text))
        requests = [Received(USUAL, PATH, JSON, (b"x-api-key", text.encode())) for text in texts]
        answers = await asyncio.gather(*(answered(immediate, request) for request in requests))
        stored = captures()
    [file] = stored.files("lr")
    table = pq.read_table(io.BytesIO(stored.read(file)))
    owners = {row["job"]: row["owner"] for row in table.select(["job", "owner"]).to_pylist()}
    assert owners == {found["id"]: owner for (_, _, found), owner in zip(answers, ("a", "b"), strict=True)}
