"""What a Redis server must be to keep jobs, and the sentence that each of us says where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from app.cli.ports import free_port
from app.core.errors import StoreUnavailable, StoreUnfit
from app.settings import settings
from app.store.redis import health
from app.store.redis.url import Address

SOMEWHERE = Address((("redis.example", 6379),))


def address(url: str) -> Address:
    return Address.parse(url, settings())


@contextmanager
def configured(url: str, **values: str) -> Iterator[None]:
    with redis.Redis.from_url(url) as client:
        before: Any = {name: client.config_get(name)[name] for name in values}
        for name, value in values.items():
            client.config_set(name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                client.config_set(name, value)


@pytest.mark.parametrize(
    "policy", [f"{which}-{how}" for which in ("allkeys", "volatile") for how in ("lru", "lfu", "random")] + ["volatile-ttl"]
)
def test_a_server_that_evicts_is_unfit(redis_url: str, policy: str) -> None:
    with configured(redis_url, **{"maxmemory-policy": policy, "maxmemory": "100mb"}):
        report = health.inspect(address(redis_url))
    assert "silently drop jobs" in report.faults[0]
    assert "CONFIG SET maxmemory-policy noeviction" in report.faults[0]
    with pytest.raises(StoreUnfit):
        health.accept(report)


def test_a_server_that_would_evict_if_it_had_a_limit_is_worth_a_warning(redis_url: str) -> None:
    with configured(redis_url, **{"maxmemory-policy": "allkeys-lru"}):
        report = health.inspect(address(redis_url))
    assert report.faults == ()
    assert any("as soon as somebody sets maxmemory" in warning for warning in report.warnings)


def test_a_server_without_a_file_is_worth_a_warning(redis_url: str) -> None:
    assert any("CONFIG SET appendonly yes" in warning for warning in health.inspect(address(redis_url)).warnings)


def test_a_durable_server_is_worth_none(redis_url: str) -> None:
    with configured(redis_url, appendonly="yes"):
        assert health.inspect(address(redis_url)).warnings == ()


def test_an_old_server_is_unfit() -> None:
    (fault,) = health.judge(SOMEWHERE, {"redis_version": "6.0.16", "maxmemory_policy": "noeviction", "aof_enabled": 1}).faults
    assert "6.2 or newer" in fault


def test_valkey_is_called_by_its_name() -> None:
    info = {"redis_version": "7.2.4", "valkey_version": "9.1.2", "maxmemory_policy": "noeviction", "aof_enabled": 1}
    assert "Valkey 9.1.2" in health.judge(SOMEWHERE, info).server


def test_a_managed_server_that_reports_nothing_is_used_with_a_warning(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as admin:
        admin.execute_command("ACL", "SETUSER", "plain", "reset", "on", ">plain", "~*", "+ping", "+hello", "+select")
    report = health.inspect(address(redis_url.replace("redis://", "redis://plain:plain@")))
    assert report.faults == ()
    assert "Make sure that noeviction" in report.warnings[0]


def test_a_dead_server_is_reported_in_one_sentence_without_its_password() -> None:
    with pytest.raises(StoreUnavailable, match="does not answer") as caught:
        health.inspect(address(f"redis://me:secret@127.0.0.1:{free_port()}/0"))
    assert "secret" not in caught.value.detail
    assert "\n" not in caught.value.detail


def test_a_wrong_password_is_reported(redis_url: str) -> None:
    with pytest.raises(StoreUnavailable, match="Put user and password into"):
        health.inspect(address(redis_url.replace("redis://", "redis://nobody:wrong@")))
