"""Figures of finished work: each job is counted once, in the script that changes its state."""

from __future__ import annotations

import struct
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio
from prometheus_client import REGISTRY

from app.core.deliveries import Delivery
from app.core.jobs import State
from app.core.models import Manifest, TensorSpec
from app.core.stats import BUCKET, LANES, Collector, Figures, Series
from app.data.figures import add
from app.store import keys, scripts, stats
from app.store.stats import SeriesIndex
from tests.store.conftest import Store, failed, succeeded

SERIES = Series("default", "m", "1")
SPEC = TensorSpec("x", "FP64", (-1,))
MANIFEST = Manifest("m", "1", "onnx", "model.onnx", "0" * 64, (SPEC,), (SPEC,))


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield client


async def total(client: redis.asyncio.Redis, step_s: int = 60, series: Series = SERIES) -> Figures:
    """The figures of the last and the next two hours, or of two days."""
    now, around = int(time.time()), max(7200, step_s)
    start, end = (now - around) // step_s * step_s, (now + around) // step_s * step_s
    [lanes] = add(await stats.read(client, [series], start, end, step_s), [0])
    return Figures(lanes.sum(axis=0).tolist())


def submit(store: Store, jobs: int = 1, **arguments: Any) -> Delivery:
    sent: Delivery = store.submit(jobs, series=str(SERIES), **arguments)
    return sent


def lanes(submitted: int, succeeded: int) -> bytes:
    """A bucket as Redis holds it."""
    return struct.pack(">2I", submitted, succeeded).ljust(BUCKET, b"\0")


def counts(figures: Figures) -> tuple[int, ...]:
    return (figures.submitted, *(figures.ended(state) for state in State if state.final))


@pytest.mark.parametrize("step_s", [60, 1800, 86400])
async def test_every_lane_that_is_written_is_read(client: redis.asyncio.Redis, step_s: int) -> None:
    lanes = [100 + lane for lane in range(LANES)]
    await stats.record(client, {str(SERIES): Figures(lanes)})
    await stats.record(client, {str(SERIES): Figures(lanes)})
    assert list((await total(client, step_s)).lanes) == [2 * amount for amount in lanes]


async def test_figures_are_added_by_group_and_by_step(client: redis.asyncio.Redis) -> None:
    versions = [Series("default", "m", str(number)) for number in range(3)]
    hour = int(time.time()) // 3600
    for at, version in enumerate(versions):
        for before in range(2):
            buckets = [lanes(10**at * (before + 1), succeeded=minute) for minute in range(60)]
            await client.set(keys.stats_hour(f"{hour - before}:{version}"), b"\0" * (4 + 2 * BUCKET) + b"".join(buckets))
    stored = await stats.read(client, versions, (hour - 1) * 3600, (hour + 1) * 3600, 900)
    added = add(stored, [0, 1, 0])
    assert added[..., 0].tolist() == [[15 * 202] * 4 + [15 * 101] * 4, [15 * 20] * 4 + [15 * 10] * 4]
    quarters = [sum(range(minute, minute + 15)) for minute in (0, 15, 30, 45)]
    assert added[..., 1].tolist() == [2 * [2 * total_ for total_ in quarters], 2 * quarters]


async def test_jobs_of_one_delivery_are_counted_with_their_rows_and_times(store: Store, client: redis.asyncio.Redis) -> None:
    sent = submit(store, 3)
    store.start(sent)
    store.finish(sent, succeeded(sent.jobs[0]), succeeded(sent.jobs[1]), failed(sent.jobs[2]))
    figures = await total(client)
    assert counts(figures) == (3, 2, 1, 0, 0)
    assert figures.rows == 2
    assert sum(figures.lanes[7:29]) == sum(figures.lanes[29:]) == 3
    record: Any = store.client.hmget(keys.job(sent.jobs[0]), "started_at", "finished_at")
    assert figures.run_s == pytest.approx(float(record[1]) - float(record[0]), abs=0.0001)


async def test_a_repeated_delivery_is_counted_once(store: Store, client: redis.asyncio.Redis) -> None:
    sent = submit(store, attempts=2)
    store.start(sent)
    store.start(sent, "worker/2")
    for attempt in (1, 2, 2):
        store.finish(sent, succeeded(sent.jobs[0], attempt=attempt))
    assert counts(await total(client)) == (1, 1, 0, 0, 0)


async def test_a_retry_is_counted_when_it_ends(store: Store, client: redis.asyncio.Redis) -> None:
    sent = submit(store)
    store.start(sent)
    [retried] = store.requeue(sent)
    assert counts(await total(client)) == (1, 0, 0, 0, 0)
    store.start(retried)
    store.finish(retried, failed(sent.jobs[0], attempt=2))
    assert counts(await total(client)) == (1, 0, 1, 0, 0)


async def test_a_cancelled_and_an_expired_job_are_counted_once(store: Store, client: redis.asyncio.Redis) -> None:
    cancelled, expired = submit(store), submit(store, wait_s=-1)
    for _ in range(2):
        scripts.run(store.client, scripts.end_job(cancelled.jobs[0], State.CANCELLED, keep=60))
        store.start(expired)
    assert counts(await total(client)) == (2, 0, 0, 1, 1)


async def test_a_refused_submission_is_not_counted(store: Store, client: redis.asyncio.Redis) -> None:
    store.submit(max_queue=0, series=str(SERIES))
    assert counts(await total(client)) == (0, 0, 0, 0, 0)


async def test_jobs_without_a_series_leave_no_figures(store: Store, client: redis.asyncio.Redis) -> None:
    sent = store.submit()
    store.start(sent)
    store.finish(sent, succeeded(sent.jobs[0]))
    assert [key async for key in client.scan_iter(f"{keys.PREFIX}stats:*")] == []


async def test_figures_end_on_their_own(store: Store, client: redis.asyncio.Redis) -> None:
    submit(store, 2)
    submit(store)
    [hour] = [key async for key in client.scan_iter(keys.stats_hour("*"))]
    [days] = [key async for key in client.scan_iter(keys.stats_days("*"))]
    assert 31 * 3600 < await client.ttl(hour) <= 32 * 3600
    assert 432 * 86400 < await client.ttl(days) <= 433 * 86400


async def test_a_key_of_a_wrong_type_does_not_keep_an_outcome_from_being_written(store: Store, client: redis.asyncio.Redis) -> None:
    sent = submit(store)
    chunks = [key for kind in (keys.stats_hour, keys.stats_days) async for key in client.scan_iter(kind("*"))]
    assert len(chunks) == 2
    for key in chunks:
        await client.delete(key)
        await client.hset(key, "a", "b")
    store.start(sent)
    assert store.finish(sent, succeeded(sent.jobs[0])) == 0
    assert store.job(sent.jobs[0]).state is State.SUCCEEDED
    assert counts(await total(client)) == (0, 0, 0, 0, 0)


async def test_what_a_process_has_collected_is_added_to_what_scripts_have_counted(store: Store, client: redis.asyncio.Redis) -> None:
    submit(store)
    collector = Collector()
    collector.count(MANIFEST, {State.SUCCEEDED: 2, State.FAILED: 1}, rows=7, wait_s=0.003, run_s=0.02)
    await stats.record(client, {str(series): figures for series, figures in collector.take().items()})
    figures = await total(client)
    assert (counts(figures), figures.rows, figures.run_s) == ((4, 2, 1, 0, 0), 7, 0.02)


async def test_a_series_above_the_limit_is_left_out_and_counted_in_the_metric(client: redis.asyncio.Redis) -> None:
    index, other = SeriesIndex(client, 1), Series("default", "m", "2")
    before = REGISTRY.get_sample_value("celeriac_stats_left_out_total") or 0.0
    assert await index.name(SERIES) == "default/m/1"
    assert await index.name(other, 3) == ""
    assert REGISTRY.get_sample_value("celeriac_stats_left_out_total") == before + 3
    assert await stats.series(client) == [SERIES]


async def test_a_series_that_was_idle_for_a_day_gives_way_with_its_figures(client: redis.asyncio.Redis) -> None:
    await stats.record(client, {str(SERIES): Figures([1] * LANES)})
    await client.zadd(keys.STATS, {str(SERIES): time.time() - 86401})
    new = Series("default", "m", "2")
    assert await SeriesIndex(client, 1).name(new) == str(new)
    assert await stats.series(client) == [new]
    assert (await total(client, 86400)).submitted == 0


async def test_an_index_of_a_wrong_type_keeps_no_job_from_being_accepted(client: redis.asyncio.Redis) -> None:
    await client.set(keys.STATS, "x")
    assert await SeriesIndex(client, 1).name(SERIES) == ""


async def test_the_sweep_drops_series_without_figures(client: redis.asyncio.Redis) -> None:
    await client.zadd(keys.STATS, {"default/m/1": time.time() - 434 * 86400, "default/m/2": time.time()})
    assert await stats.sweep(client) == 1
    assert await stats.series(client) == [Series("default", "m", "2")]
