"""What fills Redis."""

from __future__ import annotations

import pytest
import redis

from app.store import keys, memory_report


@pytest.fixture
def client(redis_url: str) -> redis.Redis:
    return redis.Redis.from_url(redis_url)


def test_keys_are_counted_by_kind_with_the_largest_first(client: redis.Redis) -> None:
    client.hset(keys.job("one"), "spec", b"x" * 5000)
    client.hset(keys.job("two"), "spec", b"x")
    client.expire(keys.job("two"), 60)
    client.zadd(keys.JOBS, {"one": 1, "two": 2})
    client.rpush(keys.list_of("gpu"), b"message")
    client.set("another:application", b"x" * 10_000)
    report = memory_report.read(client, 100, 2)
    counted = {kind.name: (kind.keys, kind.forever) for kind in report.kinds}
    assert counted == {"job": (2, 1), "jobs": (1, 1), "queue": (1, 1)}
    assert report.kinds[0].name == "job"
    assert report.kinds[0].bytes > 5000
    (_, largest), _ = report.largest
    assert largest == keys.job("one")
    assert (report.examined, report.complete) == (4, True)
    assert report.memory > report.kinds[0].bytes


def test_no_more_keys_are_examined_than_asked_for(client: redis.Redis) -> None:
    for number in range(1200):
        client.set(keys.job(str(number)), b"x")
    report = memory_report.read(client, 700, 0)
    assert (report.examined, report.complete, report.largest) == (700, False, [])


def test_an_empty_redis_has_no_kinds(client: redis.Redis) -> None:
    report = memory_report.read(client, 100, 10)
    assert (report.kinds, report.examined, report.complete) == ([], 0, True)
