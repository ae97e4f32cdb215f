"""Open batches of owners: a set that `batch.lua` changes with the status of each batch."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
import redis.asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.batches import BatchSpec, Status
from app.core.errors import QuotaExceeded
from app.core.quotas import BATCHES_OPEN, Quota
from app.store import batches, keys, usage
from app.store.batches import Change
from tests.examples import expensive

POOL = "default"
TWO = Quota(BATCHES_OPEN, 2)
ENDED = (Status.COMPLETED, Status.FAILED, Status.EXPIRED, Status.CANCELLED)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as connection:
        yield connection


def spec(owner: str) -> BatchSpec:
    return BatchSpec("m", "1", POOL, "predict", {"path": "rows.csv"}, owner=owner)


async def create(client: redis.asyncio.Redis, id: str, owner: str = "a", quota: Quota | None = TWO) -> bool:
    return await batches.create(client, id, spec(owner), time.time(), 100, quota)


async def set_status(client: redis.asyncio.Redis, id: str, status: Status) -> None:
    assert await batches.apply(client, id, POOL, Change(tuple(Status), status=status))


async def resume(client: redis.asyncio.Redis, id: str, owner: str = "a") -> bool:
    return await batches.apply(client, id, POOL, Change(ENDED, status=Status.IN_PROGRESS, quota=(owner, TWO)))


async def open_batches(client: redis.asyncio.Redis, owner: str = "a") -> int:
    return await usage.open_count(client, BATCHES_OPEN, owner)


async def drift(client: redis.asyncio.Redis) -> int:
    return (await usage.sweep(client, 0))[BATCHES_OPEN]


async def test_as_many_batches_as_the_quota_are_created(client: redis.asyncio.Redis) -> None:
    assert await create(client, "1")
    assert await create(client, "2")
    with pytest.raises(QuotaExceeded, match=r"Owner 'a' may have 2 batches that have not ended, and has 2\. The request needs 1\."):
        await create(client, "3")
    assert not await client.exists(keys.batch("3"))
    assert await create(client, "3", "b")


async def test_a_repeated_batch_is_not_refused(client: redis.asyncio.Redis) -> None:
    for id in ("1", "2"):
        assert await create(client, id)
    assert not await create(client, "1")


@pytest.mark.parametrize("status", ENDED)
async def test_a_batch_that_ends_gives_its_place_back(client: redis.asyncio.Redis, status: Status) -> None:
    await create(client, "1")
    await set_status(client, "1", Status.IN_PROGRESS)
    assert await open_batches(client) == 1
    await set_status(client, "1", status)
    assert (await open_batches(client), await drift(client)) == (0, 0)


async def test_a_change_of_an_ended_batch_does_not_open_it(client: redis.asyncio.Redis) -> None:
    await create(client, "1")
    await set_status(client, "1", Status.FAILED)
    await batches.apply(client, "1", POOL, Change((Status.FAILED,), set={"errors": []}))
    assert await open_batches(client) == 0


async def test_a_refused_batch_is_forgotten(client: redis.asyncio.Redis) -> None:
    await create(client, "1")
    await batches.forget(client, "1", spec("a"))
    assert await open_batches(client) == 0


async def test_a_resumed_batch_counts_and_is_refused_over_the_quota(client: redis.asyncio.Redis) -> None:
    await create(client, "1")
    await set_status(client, "1", Status.CANCELLED)
    assert await resume(client, "1")
    await create(client, "2")
    await set_status(client, "1", Status.CANCELLED)
    await create(client, "3")
    with pytest.raises(QuotaExceeded):
        await resume(client, "1")
    assert (await open_batches(client), await drift(client)) == (2, 0)


async def test_a_batch_without_a_quota_is_not_counted(client: redis.asyncio.Redis) -> None:
    await create(client, "1", quota=None)
    assert (await client.exists(keys.open_batches("a")), await drift(client)) == (0, 0)


async def test_the_sweep_corrects_and_reports_what_is_missing_and_what_is_too_much(client: redis.asyncio.Redis) -> None:
    await create(client, "1")
    await client.delete(keys.open_batches("a"))
    await client.zadd(keys.open_batches("a"), {"stray": time.time() + 60})
    assert await drift(client) == 2
    assert (await open_batches(client), await drift(client)) == (1, 0)


STEPS = st.lists(st.tuples(st.sampled_from(["create", "resume", "forget", "lose", *Status]), st.sampled_from("1234")), max_size=30)


@settings(max_examples=expensive(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS)
async def test_random_transitions_never_drift(client: redis.asyncio.Redis, steps: list[tuple[str, str]]) -> None:
    await client.flushdb()
    ended = {status: status.final for status in Status}
    open: set[str] = set()
    for step, id in steps:
        exists = bool(await client.exists(keys.batch(id)))
        if step in ("create", "resume"):
            try:
                if await (create(client, id) if step == "create" else resume(client, id)):
                    open.add(id)
            except QuotaExceeded:
                assert len(open) >= TWO.quota
        elif step == "forget":
            await batches.forget(client, id, spec("a"))
            open.discard(id)
        elif step == "lose" and exists:
            # What the server does when the lifetime of the record ends, and then the reconciler.
            await client.delete(keys.batch(id))
            await client.zadd(keys.open_batches("a"), {id: int(time.time()) - 1}, xx=True)
            await batches.active(client, POOL)
            open.discard(id)
        elif isinstance(step, Status) and exists:
            await set_status(client, id, step)
            (open.discard if ended[step] else open.add)(id)
        assert await open_batches(client) == len(open)
        assert await drift(client) == 0
