"""The indexes of owners, and records of a release that had no owners."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from app.core.batches import BatchSpec
from app.core.job_filters import JobFilter
from app.core.jobs import State
from app.settings import Settings
from app.store import batches, jobs, keys, owners, scripts
from app.store.quarantine import Quarantine
from tests.store.conftest import Store

pytestmark = pytest.mark.slow


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as made:
        yield made


async def swept(client: redis.asyncio.Redis, **ages: float) -> int:
    quarantine = Quarantine(client, Settings())
    return await owners.sweep(client, quarantine, **{"jobs_s": 60, "batches_s": 60, "longest_s": 60, **ages})


async def test_a_record_without_an_owner_belongs_to_the_default_owner(store: Store, client: redis.asyncio.Redis) -> None:
    [id] = store.submit().jobs
    await client.hdel(keys.job(id), "owner")
    job = await jobs.read(client, id)
    assert job is not None
    assert job.owner == "default"
    assert await scripts.run_async(client, scripts.end_job(id, State.CANCELLED, keep=60, owner="team-a")) is None
    assert await jobs.watch(client, id, "team-a") is None
    assert await scripts.run_async(client, scripts.end_job(id, State.CANCELLED, keep=60, owner="default")) == b"queued"


async def test_the_jobs_and_batches_of_a_release_without_owners_are_listed_for_their_owners(
    store: Store, client: redis.asyncio.Redis
) -> None:
    [id] = store.submit().jobs
    for batch, owner in (("batch_1", ""), ("batch_2", "team-a")):
        await batches.create(
            client, batch, BatchSpec("wine", "1", "default", "predict", {"path": "rows.csv"}, owner=owner), time.time(), 10
        )
    await client.delete(*[key async for key in client.scan_iter(f"{keys.PREFIX}*:of:*")], keys.OWNERS)
    await owners.adopt(client)
    assert [job.id for job in (await jobs.page(client, None, 10, JobFilter(owner="default")))[0]] == [id]
    assert [batch.id for batch in (await batches.page(client, None, 10, "default"))[0]] == ["batch_1"]
    assert [batch.id for batch in (await batches.page(client, None, 10, "team-a"))[0]] == ["batch_2"]


async def test_an_index_loses_the_ids_of_expired_records_and_then_its_owner(store: Store, client: redis.asyncio.Redis) -> None:
    store.submit()
    assert await swept(client) == 1
    assert await client.zcard(keys.jobs_of("default")) == 1
    assert await swept(client, jobs_s=0) == 1
    assert await client.zcard(keys.jobs_of("default")) == 0
    assert await swept(client, longest_s=0) == 0


async def test_an_index_of_a_wrong_type_is_moved_aside(store: Store, client: redis.asyncio.Redis) -> None:
    store.submit()
    await client.delete(keys.jobs_of("default"))
    await client.set(keys.jobs_of("default"), "broken")
    assert await swept(client) == 1
    [id] = store.submit().jobs
    assert [job.id for job in (await jobs.page(client, None, 10, JobFilter(owner="default")))[0]] == [id]
