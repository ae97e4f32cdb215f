"""API processes are notified of a heartbeat if there is anything new in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis

from app.store import keys, tables, workers

WORKER = workers.Worker("default@host-1", "default", 1, 1000.0, [["wine", "1"]])
NEXT = replace(WORKER, seen_at=1002.0)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as made:
        workers.report(made, WORKER, [])
        yield made


def notified(client: redis.Redis, heartbeat: workers.Worker, before: workers.Worker | None) -> bool:
    revision = tables.revision(client)
    workers.report(client, heartbeat, [], before)
    return tables.revision(client) > revision


def test_a_heartbeat_like_the_one_before_is_not_read(client: redis.Redis) -> None:
    assert not notified(client, NEXT, WORKER)


@pytest.mark.parametrize(
    "heartbeat",
    [replace(NEXT, ready=[]), replace(NEXT, loading=[["wine", "2"]]), replace(NEXT, seen_at=1010.0)],
    ids=["ready", "loading", "after a long silence"],
)
def test_a_heartbeat_that_reports_something_new_is_read(client: redis.Redis, heartbeat: workers.Worker) -> None:
    assert notified(client, heartbeat, WORKER)


def test_a_heartbeat_that_redis_had_lost_is_read(client: redis.Redis) -> None:
    client.delete(keys.WORKERS)
    assert notified(client, NEXT, WORKER)


def test_a_worker_that_signs_off_is_noticed(client: redis.Redis) -> None:
    revision = tables.revision(client)
    workers.leave(client, WORKER.name)
    assert tables.revision(client) > revision
