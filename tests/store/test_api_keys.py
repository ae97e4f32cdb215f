"""API keys in a real Redis: their bound, the last admin key, and the notification of every change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
import redis.asyncio

from app.core.api_keys import ApiKey, Scope, hash_secret
from app.core.errors import RecordUnreadable
from app.store import api_keys, keys
from app.store.api_keys import Written

NOW = 1000.0
HASH = hash_secret(b"s" * 32)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as made:
        yield made


def key(id: str = "AAAAAAAA", **values: Any) -> ApiKey:
    return ApiKey(**{"id": id, "name": id, "owner": "team", "hash": HASH, "role": "user", "created_at": NOW, **values})


async def stored(client: redis.asyncio.Redis, *created: ApiKey) -> None:
    for record in created:
        assert await api_keys.create(client, record, now=NOW, most=10) is Written.OK


async def test_a_key_is_read_as_it_was_written(client: redis.asyncio.Redis) -> None:
    record = key(
        role="", scopes=(Scope.PREDICT, Scope.TRAIN), models=("a*", "b"), pools=("gpu",), expires_at=2000.5, created_by="BBBBBBBB",
        limits={"rows_per_hour": 5}, rotated_at=1.0, previous_hash=HASH, previous_until=3.0, disabled_at=4.0,
    )  # fmt: skip
    await stored(client, record)
    assert await api_keys.read(client, record.id) == replace(record, revision=1)
    assert await api_keys.read(client, "nobody00") is None


async def test_no_secret_and_no_clear_hash_of_another_form_is_in_redis(client: redis.asyncio.Redis) -> None:
    await stored(client, key())
    fields: Any = await client.hgetall(keys.api_key("AAAAAAAA"))
    assert set(fields) == {b"record", b"revision"}
    assert b"s" * 32 not in b"".join(fields.values())


async def test_keys_are_listed_by_age_and_a_broken_record_is_left_out(client: redis.asyncio.Redis) -> None:
    await stored(client, key("BBBBBBBB", created_at=2.0), key("AAAAAAAA", created_at=3.0), key("CCCCCCCC", created_at=1.0))
    await client.hset(keys.api_key("CCCCCCCC"), "record", "{")
    assert [record.id for record in await api_keys.every(client)] == ["BBBBBBBB", "AAAAAAAA"]
    with pytest.raises(RecordUnreadable):
        await api_keys.read(client, "CCCCCCCC")


async def test_a_record_of_another_key_is_refused(client: redis.asyncio.Redis) -> None:
    await stored(client, key("AAAAAAAA"))
    await client.rename(keys.api_key("AAAAAAAA"), keys.api_key("BBBBBBBB"))
    with pytest.raises(RecordUnreadable):
        await api_keys.read(client, "BBBBBBBB")


async def test_a_key_with_a_limit_that_this_release_does_not_count_is_refused(client: redis.asyncio.Redis) -> None:
    await stored(client, key(limits={"requests_per_week": 1}))
    with pytest.raises(RecordUnreadable, match="unknown limits: requests_per_week"):
        await api_keys.read(client, "AAAAAAAA")


async def test_the_number_of_keys_is_bounded_and_an_id_is_taken_once(client: redis.asyncio.Redis) -> None:
    await stored(client, key("AAAAAAAA"))
    assert await api_keys.create(client, key("AAAAAAAA"), now=NOW, most=10) is Written.EXISTS
    assert await api_keys.create(client, key("BBBBBBBB"), now=NOW, most=1) is Written.FULL
    assert await client.zcard(keys.API_KEYS) == 1


async def test_a_change_of_a_record_that_changed_meanwhile_is_refused(client: redis.asyncio.Redis) -> None:
    await stored(client, key())
    read = await api_keys.read(client, "AAAAAAAA")
    assert read is not None
    assert await api_keys.change(client, replace(read, name="first"), now=NOW, keep_admin=True) is Written.OK
    assert await api_keys.change(client, replace(read, name="second"), now=NOW, keep_admin=True) is Written.CHANGED
    assert await api_keys.delete(client, read, now=NOW, keep_admin=True) is Written.CHANGED
    assert await api_keys.change(client, key("BBBBBBBB"), now=NOW, keep_admin=True) is Written.MISSING


async def test_two_admins_that_delete_each_other_at_once_leave_one(client: redis.asyncio.Redis) -> None:
    await stored(client, key("AAAAAAAA", role="admin"), key("BBBBBBBB", role="admin"))
    records = await api_keys.every(client)
    outcomes = await asyncio.gather(*(api_keys.delete(client, record, now=NOW, keep_admin=True) for record in records))
    assert sorted(outcomes) == [Written.LAST, Written.OK]
    assert len(await api_keys.every(client)) == 1


@pytest.mark.parametrize("other", [{"disabled_at": 1.0}, {"expires_at": NOW}, {"role": "operator"}])
async def test_the_last_usable_admin_key_stays(client: redis.asyncio.Redis, other: dict[str, Any]) -> None:
    await stored(client, key("AAAAAAAA", role="admin"), key("BBBBBBBB", **{"role": "admin", **other}))
    admin = await api_keys.read(client, "AAAAAAAA")
    assert admin is not None
    assert await api_keys.delete(client, admin, now=NOW, keep_admin=True) is Written.LAST
    assert await api_keys.change(client, replace(admin, disabled_at=NOW), now=NOW, keep_admin=True) is Written.LAST
    assert await api_keys.change(client, replace(admin, name="renamed"), now=NOW, keep_admin=True) is Written.OK
    assert await api_keys.has_admin(client, NOW)
    admin = await api_keys.read(client, "AAAAAAAA")
    assert admin is not None
    assert await api_keys.delete(client, admin, now=NOW, keep_admin=False) is Written.OK
    assert not await api_keys.has_admin(client, NOW)


async def test_an_admin_key_that_expires_counts_until_then(client: redis.asyncio.Redis) -> None:
    await stored(client, key(role="", scopes=(Scope.ADMIN,), expires_at=NOW + 5))
    assert await api_keys.has_admin(client, NOW)
    assert not await api_keys.has_admin(client, NOW + 5)


async def test_every_change_is_published_and_one_that_is_refused_is_not(
    client: redis.asyncio.Redis, listening: Callable[[str], list[bytes]]
) -> None:
    listening(keys.API_KEYS_CHANGED)
    await stored(client, key())
    read = await api_keys.read(client, "AAAAAAAA")
    assert read is not None
    await api_keys.change(client, read, now=NOW, keep_admin=True)
    await api_keys.delete(client, read, now=NOW, keep_admin=True)
    assert listening(keys.API_KEYS_CHANGED) == [b"AAAAAAAA"] * 2


async def test_the_last_use_is_recorded_and_brings_no_deleted_key_back(client: redis.asyncio.Redis) -> None:
    await stored(client, key())
    await api_keys.touch(client, {"AAAAAAAA": 7.5, "BBBBBBBB": 8.5})
    read = await api_keys.read(client, "AAAAAAAA")
    assert read is not None
    assert (read.last_used_at, read.revision) == (7.5, 1)
    assert await client.exists(keys.api_key("BBBBBBBB")) == 0
    assert await api_keys.delete(client, read, now=NOW, keep_admin=True) is Written.OK
    assert await client.exists(keys.api_key("AAAAAAAA"), keys.API_KEYS, keys.ADMIN_KEYS) == 0
