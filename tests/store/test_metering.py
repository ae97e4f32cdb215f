"""The usage of owners by day, and the share and the cost of a job. A test lets time pass by moving the start of a run back."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

import pytest
import redis.asyncio

from app.core.deliveries import Delivery, Outcome
from app.core.jobs import State
from app.core.metering import DAY_S, OTHER, Amounts, Meter, Series
from app.store import keys, metering, scripts
from tests.store.conftest import QUEUE, Store, failed, succeeded

HOUR_S = 3600.0
SLACK_S = 60.0
METER = Meter(days=400, max_series=100, prices={"gpu": 2.0})


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as connected:
        yield connected


def run(
    store: Store, *owners: str, rows: tuple[int, ...] = (), end: Sequence[Outcome] | None = None, meter: Meter = METER, pool: str = "gpu"
) -> Delivery:
    """Submit a delivery, and end it after an hour."""
    sent = store.submit(len(owners), owners=owners)
    assert isinstance(sent, Delivery)
    sent = replace(sent, owners=owners, rows=rows or sent.rows)
    store.start(sent)
    store.client.hincrbyfloat(keys.delivery(sent.id), "began", -HOUR_S)
    finish(store, sent, [succeeded(job) for job in sent.jobs] if end is None else end, meter, pool)
    return sent


def finish(store: Store, sent: Delivery, outcomes: Sequence[Outcome], meter: Meter | None = METER, pool: str = "gpu") -> None:
    for outcome in outcomes:
        outcome.share = sent.shares[sent.jobs.index(outcome.job)]
    call = scripts.finish(QUEUE, sent, outcomes, keep=60, keep_dead=60, max_dead=10, pool=pool, meter=meter)
    scripts.run(store.client, call)


async def used(client: redis.asyncio.Redis) -> dict[Series, Amounts]:
    """Both days, because a test may run at midnight."""
    today, sums = int(time.time() // DAY_S), dict[Series, Amounts]()
    for stored in await metering.read(client, [today - 1, today]):
        for series, amounts in metering.decode(stored):
            sums.setdefault(series, Amounts()).add(amounts)
    return sums


async def test_a_run_counts_for_its_owner_with_its_cost(store: Store, client: redis.asyncio.Redis) -> None:
    run(store, "a", rows=(3,))
    [(series, amounts)] = (await used(client)).items()
    assert series == Series("gpu", "m", "a")
    assert (amounts.jobs, amounts.rows) == (1, 3)
    assert amounts.run_s == pytest.approx(HOUR_S, abs=SLACK_S)
    assert amounts.cost == pytest.approx(2.0, rel=0.05)


async def test_the_owners_of_a_call_share_its_time_and_its_cost_by_rows(store: Store, client: redis.asyncio.Redis) -> None:
    sent = run(store, "a", "b", "a", rows=(1, 7, 2))
    sums = await used(client)
    a, b = sums[Series("gpu", "m", "a")], sums[Series("gpu", "m", "b")]
    assert ((a.jobs, a.rows), (b.jobs, b.rows)) == ((2, 3), (1, 7))
    assert [b.run_s / a.run_s, b.cost / a.cost] == pytest.approx([7 / 3, 7 / 3])
    jobs = [store.job(job) for job in sent.jobs]
    assert [job.share for job in jobs] == [0.1, 0.7, 0.2]
    assert sum(job.cost or 0.0 for job in jobs) == pytest.approx(a.cost + b.cost, rel=0.001)


async def test_a_repeated_settlement_counts_once_and_each_attempt_counts(store: Store, client: redis.asyncio.Redis) -> None:
    sent = run(store, "a")
    finish(store, sent, [succeeded(sent.jobs[0])])
    assert (await used(client))[Series("gpu", "m", "a")].run_s == pytest.approx(HOUR_S, abs=SLACK_S)
    run(store, "a", end=[])
    again = (await used(client))[Series("gpu", "m", "a")]
    assert again.jobs == 1
    assert again.run_s == pytest.approx(2 * HOUR_S, abs=SLACK_S)


async def test_a_job_that_was_cancelled_while_it_ran_leaves_its_time(store: Store, client: redis.asyncio.Redis) -> None:
    sent = store.submit(owners=["a"])
    store.start(sent)
    scripts.run(store.client, scripts.end_job(sent.jobs[0], State.CANCELLED, keep=60))
    store.client.hincrbyfloat(keys.delivery(sent.id), "began", -HOUR_S)
    finish(store, replace(sent, owners=("a",)), [failed(sent.jobs[0])])
    amounts = (await used(client))[Series("gpu", "m", "a")]
    assert amounts.jobs == 0
    assert amounts.run_s == pytest.approx(HOUR_S, abs=SLACK_S)


async def test_the_model_that_a_step_uses_is_named_and_the_rows_of_a_chunk_count(store: Store, client: redis.asyncio.Redis) -> None:
    sent = store.submit(owners=["a"], model="wine")
    store.start(sent)
    finish(store, replace(sent, owners=("a",), work="chunk"), [replace(succeeded(sent.jobs[0]), rows=1000)])
    assert {series.model: amounts.rows for series, amounts in (await used(client)).items()} == {"wine": 1000}


async def test_without_a_price_there_is_a_share_and_no_cost(store: Store, client: redis.asyncio.Redis) -> None:
    job = store.job(run(store, "a", pool="default").jobs[0])
    assert (job.share, job.cost) == (1.0, None)
    [amounts] = (await used(client)).values()
    assert amounts.cost == 0.0


async def test_a_job_that_never_ran_has_neither_share_nor_usage(store: Store, client: redis.asyncio.Redis) -> None:
    sent = store.submit(owners=["a"])
    finish(store, sent, [failed(sent.jobs[0], attempt=0)])
    assert (store.job(sent.jobs[0]).share, await used(client)) == (None, {})


async def test_above_the_limit_owners_count_together(store: Store, client: redis.asyncio.Redis) -> None:
    for owner in ("a", "b", "c", "a"):
        run(store, owner, meter=replace(METER, max_series=1))
    jobs = {series: amounts.jobs for series, amounts in (await used(client)).items()}
    assert jobs == {Series("gpu", "m", "a"): 2, Series("gpu", OTHER, OTHER): 2}


async def test_a_server_that_keeps_no_usage_still_says_what_a_job_cost(store: Store, client: redis.asyncio.Redis) -> None:
    sent = run(store, "a", meter=replace(METER, days=0))
    assert store.job(sent.jobs[0]).cost == pytest.approx(2.0, rel=0.05)
    assert await used(client) == {}


async def test_a_day_expires_when_it_has_been_kept(store: Store, client: redis.asyncio.Redis) -> None:
    run(store, "a", meter=replace(METER, days=3))
    kept = [key async for key in client.scan_iter(f"{keys.PREFIX}usage:*")]
    assert len(kept) == 2
    for key in kept:
        assert 2 * DAY_S < await client.ttl(key) <= 3 * DAY_S


@pytest.mark.parametrize("key", [keys.usage_places, keys.usage_figures], ids=["places", "figures"])
async def test_a_key_of_a_wrong_type_does_not_keep_a_job_from_ending(
    store: Store, client: redis.asyncio.Redis, key: Callable[[int], str]
) -> None:
    run(store, "a")
    today = int(time.time() // DAY_S)
    for day in (today, today + 1):
        await client.delete(key(day))
        await client.sadd(key(day), "x")
    assert store.job(run(store, "a").jobs[0]).state is State.SUCCEEDED
    assert await used(client) == {}


async def test_what_a_process_has_measured_is_added(store: Store, client: redis.asyncio.Redis) -> None:
    run(store, "a")
    await metering.record(client, METER, {Series("gpu", "m", "a"): Amounts(2, 5, HOUR_S), Series("gpu"): Amounts(run_s=4 * HOUR_S)})
    sums = await used(client)
    amounts, pool = sums[Series("gpu", "m", "a")], sums[Series("gpu")]
    assert (amounts.jobs, amounts.rows) == (3, 6)
    assert amounts.run_s == pytest.approx(2 * HOUR_S, abs=SLACK_S)
    assert [pool.run_s, pool.cost] == pytest.approx([4 * HOUR_S, 8.0])


async def test_an_owner_may_have_slashes_in_its_name(client: redis.asyncio.Redis) -> None:
    await metering.record(client, METER, {Series("gpu", "m", "a/b/c"): Amounts(1)})
    assert list(await used(client)) == [Series("gpu", "m", "a/b/c")]


async def test_the_time_of_a_pool_is_kept_although_the_day_is_full(client: redis.asyncio.Redis) -> None:
    full = replace(METER, max_series=1)
    for series in (Series("gpu", "m", "a"), Series("gpu"), Series("cpu")):
        await metering.record(client, full, {series: Amounts(run_s=1.0)})
    assert await metering.count(client, time.time()) == 3
    assert {str(series) for series in await used(client)} == {"gpu/m/a", "gpu//", "cpu//"}
