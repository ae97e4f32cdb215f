"""A real receiver on this machine, and jobs on a real Redis whose events it receives."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest
import redis.asyncio

from app.api.schemas.serializers import present, present_batch
from app.broker.replies import Replies
from app.core.audit import Action, Target, draft
from app.core.deliveries import Delivery, Outcome
from app.core.jobs import State, new_id
from app.core.spans import Export
from app.core.tensors import Tensor, encode
from app.core.traces import TraceContext
from app.core.webhooks import Event, JobWebhook, Webhook, WebhookDelivery, new_secret
from app.hooks.fanout import Presenters
from app.hooks.sender import Sender
from app.settings import Settings
from app.store import keys, scripts, webhook_deliveries, webhooks
from app.store.records import encode_spec, encode_webhook

QUEUE = "default"
OF_JOBS = (Event.START, Event.COMPLETED)


@dataclass
class Received:
    """One request, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


class Receiver:
    """Answers with the next of `answers`, (status, headers), and with 204 when there is none. `holding` keeps answers back until it is set."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.received: queue.Queue[Received] = queue.Queue()
        self.holding = threading.Event()
        self.holding.set()
        own = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                own.received.put(Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                own.holding.wait(30)
                status, headers = own.answers.pop(0) if own.answers else (204, {})
                self.send_response(status)
                for name, value in {"content-length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """A sender that was killed closes its connection."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook"

    def get(self, timeout_s: float = 30) -> Received:
        """The next request; waits for it."""
        return self.received.get(timeout=timeout_s)

    def all(self) -> list[Received]:
        """What came so far."""
        found = []
        while not self.received.empty():
            found.append(self.received.get_nowait())
        return found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.holding.set()
    found.server.shutdown()
    found.server.server_close()
    thread.join()


@dataclass
class Hooked:
    """Jobs without an API and a worker: the scripts that both use, and a sender that moves when the test asks it to."""

    client: redis.asyncio.Redis
    url: str
    options: dict[str, Any] = field(default_factory=dict)
    export: Export | None = None
    _replies: Replies | None = None

    @property
    def settings(self) -> Settings:
        return Settings(**{"webhook_allow_private": True, "webhook_timeout_s": 5.0, **self.options})

    def sender(self, schedule: tuple[float, ...] = (0.0,) * 9) -> Sender:
        """Due again at once, so that no test waits."""
        listen = partial(self.replies.listen, keys.WEBHOOKS_DUE)
        return Sender(
            self.client, self.settings, Presenters(present, present_batch), listen, schedule, jitter=lambda: 0.0, export=self.export
        )

    @property
    def replies(self) -> Replies:
        """What notifies a sender that runs."""
        if self._replies is None:
            self._replies = Replies(self.client, "api", lambda *_: None)
        return self._replies

    @asynccontextmanager
    async def sending(self, *schedule: float) -> AsyncIterator[None]:
        """A sender waits for notifications, as in an API process."""
        loops = [asyncio.create_task(loop.run()) for loop in (self.replies, self.sender(schedule))]
        try:
            yield
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)

    async def send(self) -> None:
        """Rounds until nothing is due."""
        sender = self.sender()
        while await sender.round():
            pass

    async def register(self, url: str, **values: Any) -> Webhook:
        found = Webhook(**{"id": "wh_1", "url": url, "secret": new_secret(), "events": OF_JOBS, **values})
        await webhooks.write(self.client, found, draft(Action.WEBHOOK_CREATED, Target("webhook", found.id)))
        return found

    async def submit(
        self,
        url: str = "",
        events: tuple[Event, ...] = OF_JOBS,
        model: str = "m",
        wait_s: float = 60.0,
        parent: str = "",
        trace: TraceContext | None = None,
    ) -> Delivery:
        id = new_id(time.time())
        inputs = [Tensor("x", "FP64", (1, 1), encode([0.0], "FP64"))]
        sent = Delivery(new_id(time.time()), model, "1", ("predict",), "", True, (id,), (1,), inputs)
        hook = encode_webhook(JobWebhook(url, events) if url else None)
        spec = encode_spec(model, "1", ("predict",), 1, "")
        call = scripts.submit(
            QUEUE, b"message", sent, [spec], [wait_s], [hook], attempts=3, limit_s=30, max_queue=100, ttl=60, parent=parent, traces=[trace]
        )
        assert (await scripts.run_async(self.client, call))[0] == b"ok"
        return sent

    async def start(self, sent: Delivery) -> None:
        await scripts.run_async(self.client, scripts.start(QUEUE, sent.id, "worker/1", keep=60, silent_s=0))

    async def finish(self, sent: Delivery, outcome: Outcome) -> None:
        await scripts.run_async(self.client, scripts.finish(QUEUE, sent, [outcome], keep=60, keep_dead=60, max_dead=10))

    async def succeed(self, sent: Delivery, values: int = 1) -> None:
        await self.start(sent)
        await self.finish(sent, Outcome(sent.jobs[0], [Tensor("predict", "FP64", (1, values), encode([1 / 3] * values, "FP64"))]))

    async def cancel(self, sent: Delivery) -> None:
        await scripts.run_async(self.client, scripts.end_job(sent.jobs[0], State.CANCELLED, keep=60))

    async def deliveries(self, webhook: str = "wh_1") -> list[WebhookDelivery]:
        """The newest first."""
        return (await webhook_deliveries.page(self.client, webhook, None, None, 100))[0]

    async def events(self) -> list[str]:
        found: Any = await self.client.zrange(keys.EVENTS, 0, -1)
        return [member.decode() for member in found]


@pytest.fixture
async def hooked(redis_url: str) -> AsyncIterator[Hooked]:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield Hooked(client, redis_url)
