"""`celeriac redis report`."""

from __future__ import annotations

import json

import pytest
import redis
from celeriac_cli.errors import Exit

from app.settings import settings
from app.store import keys
from tests.cli.conftest import Celeriac


@pytest.fixture
def client(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> redis.Redis:
    monkeypatch.setenv("CELERIAC_REDIS_URL", redis_url)
    settings.cache_clear()
    return redis.Redis.from_url(redis_url)


def test_the_report_names_kinds_and_the_largest_keys(celeriac: Celeriac, client: redis.Redis) -> None:
    client.hset(keys.job("large"), "spec", b"x" * 5000)
    client.zadd(keys.JOBS, {"large": 1})
    ended = celeriac("redis", "report")
    assert ended.exit == Exit.OK
    assert [line.split()[0] for line in ended.out.splitlines()[1:3]] == ["job", "jobs"]
    assert keys.job("large") in ended.out
    assert "2 keys with" in ended.err
    found = json.loads(celeriac("redis", "report", "--json", "--largest", "1").out)
    assert [kind["name"] for kind in found["kinds"]] == ["job", "jobs"]
    assert [entry["key"] for entry in found["largest"]] == [keys.job("large")]


def test_a_user_without_the_right_gets_advice(celeriac: Celeriac, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    client.acl_setuser("reader", enabled=True, passwords=["+secret"], keys=["*"], categories=["+@connection"])
    monkeypatch.setenv("CELERIAC_REDIS_URL", str(client_url(client)).replace("redis://", "redis://reader:secret@"))
    settings.cache_clear()
    try:
        ended = celeriac("redis", "report")
    finally:
        client.acl_deluser("reader")
    assert ended.exit == Exit.REFUSED
    assert "may not look at all keys" in ended.err


def client_url(client: redis.Redis) -> str:
    given = client.connection_pool.connection_kwargs
    return f"redis://{given['host']}:{given['port']}/0"
