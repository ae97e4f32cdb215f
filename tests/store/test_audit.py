"""The audit log in Redis: its chains, its bounds and its pages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import redis
import redis.asyncio
from prometheus_client import REGISTRY

from app.core.audit import Action, Target, draft
from app.services.audit import AuditService
from app.settings import settings
from app.store import audit, keys, serving
from app.store.audit import CHANGES, REFUSALS


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The smallest audit log that settings allow."""
    monkeypatch.setenv("CELERIAC_AUDIT_MAX_ENTRIES", "100")
    monkeypatch.setenv("CELERIAC_AUDIT_DAYS", "1")
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as connected:
        yield connected


def unloaded(name: str) -> bytes:
    return draft(Action.MODEL_UNLOADED, Target("model", name))


async def listed(client: redis.asyncio.Redis, **options: Any) -> list[str]:
    """The targets of all entries, read page by page."""
    targets, cursor = [], None
    while True:
        page, cursor = await audit.page(client, lambda entry: True, cursor=cursor, count=7, **options)
        targets += [entry["targets"][0]["id"] for entry in page]
        if cursor is None:
            return targets


async def faults(client: redis.asyncio.Redis) -> list[str]:
    return [fault for chain in await AuditService(client).verify() for fault in chain.faults]


async def test_redis_chains_entries_as_the_check_expects_whatever_their_length(client: redis.asyncio.Redis) -> None:
    for length in range(70):
        await audit.write(client, unloaded("x" * length))
    checked, _ = await AuditService(client).verify()
    assert (checked.entries, checked.faults) == (70, ())


async def test_entries_that_are_written_at_once_form_one_chain(client: redis.asyncio.Redis) -> None:
    await asyncio.gather(*(audit.write(client, unloaded(str(number)), REFUSALS if number % 3 else CHANGES) for number in range(90)))
    assert [(chain.entries, chain.faults) for chain in await AuditService(client).verify()] == [(30, ()), (60, ())]


async def test_the_check_in_redis_notices_a_changed_a_removed_and_an_added_entry(client: redis.asyncio.Redis) -> None:
    for number in range(5):
        await audit.write(client, unloaded(str(number)))
    entries: Any = await client.xrange(keys.AUDIT)
    id, fields = entries[2]
    await client.xdel(keys.AUDIT, id)
    assert len(await faults(client)) == 1
    await client.delete(keys.AUDIT)
    for other, stored in entries:
        await client.xadd(keys.AUDIT, stored if other != id else {**fields, b"entry": unloaded("another")}, other)
    assert len(await faults(client)) == 1
    await client.delete(keys.AUDIT)
    for other, stored in entries:
        await client.xadd(keys.AUDIT, stored, other)
    assert await faults(client) == []
    await client.xadd(keys.AUDIT, fields)
    assert (await faults(client))[-1] == f"Entries were added after {entries[-1][0].decode()}."
    await client.delete(keys.AUDIT)
    assert len(await faults(client)) == 1


async def test_a_clock_that_goes_back_breaks_nothing(client: redis.asyncio.Redis) -> None:
    await audit.write(client, unloaded("0"))
    await client.hset(keys.AUDIT_HEADS, "last", "99999999999999-7")
    for number in (1, 2):
        await audit.write(client, unloaded(str(number)))
    assert await listed(client) == ["2", "1", "0"]
    newest: Any = await client.xrevrange(keys.AUDIT, count=1)
    assert newest[0][0] == b"99999999999999-9"
    assert await faults(client) == []


async def test_the_log_is_bounded_by_entries_and_stays_a_chain(client: redis.asyncio.Redis, small: None) -> None:
    for number in range(400):
        await audit.write(client, unloaded(str(number)))
    # Redis drops whole nodes of a stream, which have 100 entries.
    assert 100 <= await client.xlen(keys.AUDIT) <= 200
    assert await faults(client) == []


async def test_the_log_is_bounded_by_days(client: redis.asyncio.Redis, small: None) -> None:
    for number in range(200):
        await client.xadd(keys.AUDIT, {"prev": "", "entry": unloaded(str(number))}, f"1000-{number}")
    await audit.write(client, unloaded("new"))
    assert await client.xlen(keys.AUDIT) <= 101


async def test_a_flood_of_refusals_displaces_no_change(client: redis.asyncio.Redis, small: None) -> None:
    await audit.write(client, unloaded("wine"))
    for _ in range(300):
        await audit.write(client, draft(Action.AUTHENTICATION_FAILED, Target("key", "x")), REFUSALS)
    assert "wine" in await listed(client)


async def test_pages_have_every_entry_of_both_chains_once_and_the_newest_first(client: redis.asyncio.Redis) -> None:
    for number in range(450):
        await audit.write(client, unloaded(str(number)), REFUSALS if number % 5 == 0 else CHANGES)
    assert await listed(client) == [str(number) for number in reversed(range(450))]


async def test_pages_are_bounded_by_time(client: redis.asyncio.Redis) -> None:
    for second in (10, 20, 30):
        await client.xadd(keys.AUDIT, {"prev": "", "entry": unloaded(str(second))}, f"{second}000-0")
    assert await listed(client, since=20.0) == ["30", "20"]
    assert await listed(client, until=20.0) == ["20", "10"]
    assert await listed(client, since=11.0, until=29.0) == ["20"]


async def test_a_filter_that_matches_little_gives_short_pages_with_a_cursor(client: redis.asyncio.Redis) -> None:
    async with client.pipeline(transaction=False) as pipe:
        for number in range(2500):
            pipe.xadd(keys.AUDIT, {"prev": "", "entry": unloaded(str(number))}, f"1000-{number + 1}")
        await pipe.execute()
    page, cursor = await audit.page(client, lambda entry: False, cursor=None, count=10)
    assert page == []
    assert cursor is not None
    page, cursor = await audit.page(client, lambda entry: entry["targets"][0]["id"] == "0", cursor=cursor, count=10)
    assert (len(page), cursor) == (1, None)


async def test_an_unreadable_entry_hides_no_other_one(client: redis.asyncio.Redis) -> None:
    await audit.write(client, unloaded("1"))
    await client.xadd(keys.AUDIT, {"entry": b"\xff{"})
    assert await listed(client) == ["1"]


async def test_a_change_that_changes_nothing_leaves_no_entry(client: redis.asyncio.Redis) -> None:
    for _ in range(3):
        await audit.change(client, unloaded("wine"), ("SADD", keys.WITHDRAWN, "wine"))
    assert await listed(client) == ["wine"]


async def test_a_change_that_fails_leaves_no_entry(client: redis.asyncio.Redis) -> None:
    await client.set(keys.WITHDRAWN, "no set")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        await audit.change(client, unloaded("wine"), ("SADD", keys.WITHDRAWN, "wine"))
    assert await listed(client) == []


async def test_an_entry_is_counted_and_logged(client: redis.asyncio.Redis, caplog: pytest.LogCaptureFixture) -> None:
    counted = {"action": "model.unloaded"}
    before = REGISTRY.get_sample_value("celeriac_audit_entries_total", counted) or 0
    with caplog.at_level(logging.INFO, "app.audit"):
        await audit.write(client, unloaded("wine"))
    assert REGISTRY.get_sample_value("celeriac_audit_entries_total", counted) == before + 1
    [record] = caplog.records
    [entry], _ = await audit.page(client, lambda entry: True, cursor=None, count=9)
    assert vars(record)["audit"] is True
    assert {name: vars(record)[name] for name in entry} == entry


async def test_an_entry_that_cannot_be_written_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with redis.asyncio.Redis(port=1) as nobody:
        await audit.write(nobody, unloaded("wine"))
    [record] = caplog.records
    assert vars(record)["audit"] is True
    assert vars(record)["targets"] == [{"type": "model", "id": "wine"}]


async def test_one_of_the_workers_that_serve_a_version_writes_the_entry(client: redis.asyncio.Redis, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as worker:
        for version in ("1", "1", "2", "2"):
            serving.served(worker, ("wine", "production"), version, draft(Action.MODEL_PROMOTED, Target("model", version)))
        serving.served(worker, ("wine", ""), "2")
        assert serving.read(worker).of("wine") == {"production": "2", "": "2"}
    assert await listed(client) == ["2", "1"]


async def test_one_process_writes_the_entry_of_a_version_that_appears(client: redis.asyncio.Redis) -> None:
    def version(name: str) -> tuple[str, bytes]:
        return name, draft(Action.MODEL_PUBLISHED, Target("model", name))

    await audit.write_publications(client, [version("wine/1")])
    for _ in range(2):
        await audit.write_publications(client, [version("wine/1"), version("wine/2"), version("digits/1")])
    assert await listed(client) == ["digits/1", "wine/2"]


async def test_the_first_version_of_an_empty_repository_has_an_entry(client: redis.asyncio.Redis) -> None:
    await audit.write_publications(client, [])
    await audit.write_publications(client, [("wine/1", draft(Action.MODEL_PUBLISHED, Target("model", "wine/1")))])
    assert await listed(client) == ["wine/1"]
