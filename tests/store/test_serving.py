"""Which versions workers serve for an alias, and which they served before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from app.store import serving

SLOT = ("wine", "production")


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


def test_the_first_version_of_an_alias_follows_none(client: redis.Redis) -> None:
    serving.served(client, SLOT, "1")
    assert serving.read(client).previous_of("wine") == {}


def test_the_version_before_the_current_one_is_kept(client: redis.Redis) -> None:
    for version in ("1", "2", "2", "3"):
        serving.served(client, SLOT, version)
    current = serving.read(client)
    assert (current.get(SLOT), current.previous_of("wine")) == ("3", {"production": "2"})


def test_an_alias_that_is_gone_has_no_version_before(client: redis.Redis) -> None:
    for version in ("1", "2"):
        serving.served(client, SLOT, version)
    serving.forget(client, [SLOT])
    assert serving.read(client).previous == {}
