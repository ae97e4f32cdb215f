from __future__ import annotations

import time

import pytest
import redis.asyncio

from app.core import attempts
from app.core.jobs import State
from app.core.traces import TraceContext
from app.store import keys, scripts, traces
from app.store.traces import EndedDelivery
from tests.store.conftest import Store, failed, succeeded

NOW = round(time.time(), 3)
ALWAYS = TraceContext("a" * 32, "b" * 16, sampled=True, slow_s=0.0, received_at=NOW, request_id="r-1")
IF_IT_FAILS = TraceContext("c" * 32, "d" * 16, slow_s=1e6, received_at=NOW)
SLOW = TraceContext("c" * 32, "d" * 16, slow_s=1e6, received_at=NOW - 2e6)
NEVER = TraceContext("e" * 32, "f" * 16, sampled=True, received_at=NOW)


async def ended(store: Store) -> list[EndedDelivery]:
    """Return what is to be exported."""
    client = redis.asyncio.Redis.from_url(store.url)
    try:
        claimed = await traces.claim(client, 30.0, 100)
        deliveries = [await traces.read(client, member.decode()) for member in claimed.members]
        await traces.done(client, [member.decode() for member in claimed.members])
        return deliveries
    finally:
        await client.aclose()


def test_a_record_keeps_its_trace_context(store: Store) -> None:
    sent = store.submit(jobs=2, traces=[ALWAYS, None])
    assert [store.job(id).trace for id in sent.jobs] == [ALWAYS, None]


@pytest.mark.parametrize(
    ("context", "fails", "exported"),
    [
        (ALWAYS, False, True),
        (IF_IT_FAILS, False, False),
        (IF_IT_FAILS, True, True),
        (SLOW, False, True),
        (NEVER, True, False),
        (None, True, False),
    ],
)
async def test_sampled_failed_and_slow_jobs_are_exported(store: Store, context: TraceContext | None, fails: bool, exported: bool) -> None:
    sent = store.submit(traces=[context])
    store.start(sent)
    store.finish(sent, (failed if fails else succeeded)(sent.jobs[0]))
    assert [job.trace for delivery in await ended(store) for job in delivery.jobs] == [context] * exported


async def test_jobs_of_one_delivery_are_exported_together_with_its_size(store: Store) -> None:
    sent = store.submit(jobs=3, traces=[ALWAYS, IF_IT_FAILS, ALWAYS])
    store.start(sent)
    store.finish(sent, *map(succeeded, sent.jobs))
    [delivery] = await ended(store)
    assert (delivery.id, delivery.size) == (sent.id, 3)
    assert [job.id for job in delivery.jobs] == [sent.jobs[0], sent.jobs[2]]
    assert await ended(store) == []


async def test_a_retried_job_shows_when_each_attempt_began_and_ended(store: Store) -> None:
    sent = store.submit(traces=[ALWAYS])
    store.start(sent, "worker/1")
    [later] = store.requeue(sent)
    store.start(later, "worker/2")
    store.finish(later, failed(sent.jobs[0], attempt=2))
    [delivery] = await ended(store)
    [job] = delivery.jobs
    first, second = job.attempts
    assert (first.worker, second.worker) == ("worker/1", "worker/2")
    assert first.ended_at is not None
    assert job.created_at <= first.started_at <= first.ended_at <= second.started_at <= job.finished_at
    assert (second.ended_at, job.state, job.error) == (None, State.FAILED, "prediction_failed")


async def test_an_attempt_whose_worker_died_has_no_end(store: Store) -> None:
    sent = store.submit(traces=[ALWAYS])
    store.start(sent, "worker/1")
    store.start(sent, "worker/2", silent_s=-1.0)
    store.finish(sent, succeeded(sent.jobs[0], attempt=2))
    [delivery] = await ended(store)
    assert [attempt.ended_at for attempt in delivery.jobs[0].attempts] == [None, None]


async def test_a_job_that_is_cancelled_in_the_queue_is_exported(store: Store) -> None:
    sent = store.submit(traces=[ALWAYS])
    scripts.run(store.client, scripts.end_job(sent.jobs[0], State.CANCELLED, keep=60))
    [delivery] = await ended(store)
    assert (delivery.id, [job.state for job in delivery.jobs]) == ("-", [State.CANCELLED])


async def test_a_job_that_expires_in_the_queue_is_exported_although_it_is_not_sampled(store: Store) -> None:
    sent = store.submit(traces=[IF_IT_FAILS], wait_s=-1.0)
    store.start(sent)
    [delivery] = await ended(store)
    assert [(job.state, job.error, list(job.attempts)) for job in delivery.jobs] == [(State.EXPIRED, "expired", [])]


async def test_a_record_that_has_expired_is_left_out(store: Store) -> None:
    sent = store.submit(traces=[ALWAYS])
    store.start(sent)
    store.finish(sent, succeeded(sent.jobs[0]))
    store.client.delete(keys.job(sent.jobs[0]))
    assert [delivery.jobs for delivery in await ended(store)] == [[]]


def test_an_index_of_a_wrong_type_keeps_no_job_from_ending(store: Store) -> None:
    store.client.set(keys.TRACES, "damaged")
    sent = store.submit(traces=[ALWAYS])
    store.start(sent)
    store.finish(sent, succeeded(sent.jobs[0]))
    assert store.job(sent.jobs[0]).state is State.SUCCEEDED


async def test_the_oldest_are_dropped_and_counted_if_too_many_wait(store: Store) -> None:
    store.client.zadd(keys.TRACES, {f"old-{number} 1 x": number for number in range(10_000)})
    sent = store.submit(traces=[ALWAYS])
    store.start(sent)
    store.finish(sent, succeeded(sent.jobs[0]))
    assert store.client.zcard(keys.TRACES) == 10_000
    assert store.client.zscore(keys.TRACES, "old-0 1 x") is None
    client = redis.asyncio.Redis.from_url(store.url)
    assert [await traces.take_dropped(client), await traces.take_dropped(client)] == [1, 0]
    await client.aclose()


def test_the_attempts_that_a_trace_shows_are_bounded() -> None:
    tries = "".join(f"{number}.0 worker/1\n" for number in range(1, 101))
    shown = attempts.parse(tries, "99 99.5\n")
    assert len(shown) == attempts.MAX_ATTEMPTS
    assert [attempt.ended_at for attempt in shown[-2:]] == [99.5, None]
