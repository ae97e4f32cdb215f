"""The API as its clients meet it, in this process, on a real Redis; and a worker that a test leads by the hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import redis
from starlette.types import ASGIApp, Message

from app.api.app import create
from app.core.deliveries import Delivery, Outcome
from app.settings import settings
from app.store import keys, scripts

QUEUE = "default"


@pytest.fixture
def configured(redis_url: str, sample_models: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Settings for this test's Redis and models; more are set through the patch before `api` is asked for."""
    monkeypatch.setenv("CELERIAC_REDIS_URL", redis_url)
    monkeypatch.setenv("CELERIAC_MODELS", str(sample_models))
    settings.cache_clear()
    yield monkeypatch
    settings.cache_clear()


@asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[dict[str, Any]]:
    """Starts and ends an application as a server does. Yields the state of its lifespan."""
    asked: asyncio.Queue[Message] = asyncio.Queue()
    said: asyncio.Queue[Message] = asyncio.Queue()
    state: dict[str, Any] = {}
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": state}
    task = asyncio.ensure_future(app(scope, asked.get, said.put))
    for step in ("startup", "shutdown"):
        await asked.put({"type": f"lifespan.{step}"})
        message = await said.get()
        assert message["type"] == f"lifespan.{step}.complete", message
        if step == "startup":
            yield state
    await task


@asynccontextmanager
async def running() -> AsyncIterator[httpx.AsyncClient]:
    app = create()
    async with lifespan(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
        yield client


@pytest.fixture
async def api(configured: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API process."""
    async with running() as client:
        yield client


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Looks until it holds, for half a minute at most."""
    try:
        async with asyncio.timeout(30):
            while not await holds():  # noqa: ASYNC110 another process or loop makes it so
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"not within 30 s: {what}")


class Worker:
    """Takes deliveries from the queue and ends them as the test says, through the scripts of a real worker."""

    def __init__(self, url: str) -> None:
        self.client = redis.Redis.from_url(url)
        self.name = "host/1"

    def take(self) -> Delivery:
        message: Any = self.client.rpop(keys.list_of(QUEUE))
        assert message is not None, "the queue is empty"
        id = orjson.loads(message)["headers"]["id"]
        body, *_ = scripts.run(self.client, scripts.start(QUEUE, id, self.name, keep=60, silent_s=0))
        return Delivery.unpack(body)

    def finish(self, delivery: Delivery, *outcomes: Outcome, input_bytes: int = 4096) -> None:
        call = scripts.finish(QUEUE, delivery, outcomes, keep=3600, keep_dead=3600, max_dead=100, input_bytes=input_bytes)
        scripts.run(self.client, call)


@pytest.fixture
def worker(redis_url: str) -> Iterator[Worker]:
    found = Worker(redis_url)
    yield found
    found.client.close()


@pytest.fixture(scope="session")
def wine(sample_models: Path) -> dict[str, Any]:
    """A record that the model `wine` takes, with a missing value."""
    examples: Any = orjson.loads((sample_models / "wine" / "1" / "examples.json").read_bytes())
    return dict(examples[0]["input"])
