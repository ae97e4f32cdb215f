from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import redis

from app.core.deliveries import Delivery, Outcome
from app.core.errors import PredictionFailed
from app.core.jobs import Job, new_id
from app.core.rate_limits import Charge
from app.core.tensors import Tensor, encode
from app.core.traces import TraceContext
from app.store import backlog, keys, scripts
from app.store.records import decode, encode_spec

QUEUE = "default"


class Store:
    """The scripts on a real server, with the arguments that a test does not care about filled in."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = redis.Redis.from_url(url)
        self.answer: Any = None
        """What the last submission returned."""

    def submit(
        self,
        jobs: int = 1,
        *,
        wait_s: float = 60.0,
        attempts: int = 3,
        max_queue: int = 100,
        ids: tuple[str, ...] = (),
        charges: Sequence[Charge | None] = (),
        costs: Mapping[str, float] | None = None,
        owners: Sequence[str] = (),
        parent: str = "",
        target: int = 1,
        queue: str = QUEUE,
        recorded: bool = True,
        concurrency: bytes = b"",
        model: str = "",
        series: str = "",
        traces: Sequence[TraceContext | None] = (),
    ) -> Any:
        """Returns the delivery, or what the script said where it refused."""
        sent = replace(delivery(ids or tuple(new_id(time.time()) for _ in range(jobs))), recorded=recorded)
        specs = [encode_spec("m", "1", ("predict",), 1, "")] * len(sent.jobs)
        waits = [wait_s] * len(sent.jobs)
        call = scripts.submit(
            queue,
            message(sent.id, queue),
            sent,
            specs,
            waits,
            [b""] * len(waits),
            attempts=attempts,
            limit_s=30,
            max_queue=max_queue,
            ttl=60,
            charges=charges,
            owners=owners or ([next(iter(costs))] * len(sent.jobs) if costs else ()),
            parent=parent,
            shares=backlog.encode(costs) if costs else b"",
            target=target,
            concurrency=concurrency,
            model=model,
            series=series,
            traces=traces,
        )
        answer = self.answer = scripts.run(self.client, call)
        return sent if answer[0] == b"ok" else answer

    def take(self) -> str | None:
        """The delivery that a worker takes from the list and starts, or None if the list is empty."""
        message: Any = self.client.rpop(keys.list_of(QUEUE))
        if message is None:
            return None
        id = str(json.loads(message)["headers"]["id"])
        scripts.run(self.client, scripts.start(QUEUE, id, "worker/1", keep=60, silent_s=0))
        return id

    def start(self, sent: Delivery, worker: str = "worker/1", silent_s: float = 0.0) -> Any:
        """As after the death of the process that started it before, unless `silent_s` says that its sign of life still holds."""
        answer = scripts.run(self.client, scripts.start(QUEUE, sent.id, worker, keep=60, silent_s=silent_s))
        return answer and answer[2:]

    def finish(self, sent: Delivery, *outcomes: Outcome, max_dead: int = 10) -> int:
        return int(scripts.run(self.client, scripts.finish(QUEUE, sent, outcomes, keep=60, keep_dead=60, max_dead=max_dead)))

    def requeue(self, sent: Delivery, *, delay_s: float = 0.0, give_back: bool = False, attempt: int = 1) -> list[Delivery]:
        apart = [sent.only([at], new_id(time.time())) for at in range(len(sent.jobs))]
        again = [(one, message(one.id), delay_s, attempt) for one in apart]
        scripts.run(self.client, scripts.requeue(QUEUE, sent.id, again, ttl=60, give_back=give_back))
        return apart

    def find_lost(self, grace_s: float = 0.0, silent_s: float = 0.0) -> list[str]:
        call = scripts.find_lost(QUEUE, "default", grace_s=grace_s, silent_s=silent_s)
        return [id.decode() for id in scripts.run(self.client, call)[::2]]

    def job(self, id: str) -> Job:
        found: Any = self.client.hgetall(keys.job(id))
        job = decode(id, found)
        assert job is not None
        return job

    def messages(self) -> int:
        return int(self.client.llen(keys.list_of(QUEUE)))


def delivery(jobs: tuple[str, ...]) -> Delivery:
    inputs = [Tensor("x", "FP64", (len(jobs), 1), encode([0.0] * len(jobs), "FP64"))]
    return Delivery(new_id(time.time()), "m", "1", ("predict",), "api", True, jobs, (1,) * len(jobs), inputs)


def message(id: str, queue: str = QUEUE) -> bytes:
    parts = id.encode(), time.time(), queue.encode()
    return b'{"headers":{"id":"%s","enqueued_at":%.6f},"properties":{"delivery_info":{"exchange":"","routing_key":"%s"}}}' % parts


def succeeded(job: str, value: int = 1, attempt: int = 1) -> Outcome:
    return Outcome(job, [Tensor("predict", "INT64", (1,), encode([value], "INT64"))], attempt=attempt)


def failed(job: str, attempt: int = 1) -> Outcome:
    return Outcome(job, error=PredictionFailed("it raised"), attempt=attempt)


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    found = Store(redis_url)
    yield found
    found.client.close()


@pytest.fixture
def listening(store: Store) -> Iterator[Callable[[str], list[bytes]]]:
    """Subscribes to a channel; called again it gives what came there."""
    pubsub: Any = store.client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]

    def heard(channel: str) -> list[bytes]:
        if channel.encode() not in pubsub.channels:
            pubsub.subscribe(channel)
            pubsub.get_message(timeout=5)
            return []
        found = []
        while message := pubsub.get_message(timeout=0.2):
            found.append(message["data"])
        return found

    yield heard
    pubsub.close()
