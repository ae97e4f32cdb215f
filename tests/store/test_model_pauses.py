"""Deliveries of a paused model in the scripts that submit, start, retry and release. A test is the worker: it takes messages from the list."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis.asyncio

from app.core.concurrency import Concurrency, OnFull
from app.core.deliveries import Delivery
from app.core.jobs import State
from app.core.model_pauses import ModelPause
from app.store import concurrency, keys, model_pauses, model_references, scripts
from tests.store.conftest import QUEUE, Store, message, succeeded
from tests.store.test_concurrency import LIMITS

MODEL = "m"


def pause(store: Store, model: str = MODEL) -> None:
    store.client.hset(keys.PAUSED_MODELS, model, b'{"since":1.0,"key_id":"","key_name":"","reason":""}')


def resume(store: Store, model: str = MODEL) -> int:
    """Returns how many deliveries returned to their queues."""
    store.client.hdel(keys.PAUSED_MODELS, model)
    return release(store)


def release(store: Store) -> int:
    return int(run(store, model_pauses.release))


def sweep(store: Store) -> None:
    run(store, lambda client: model_pauses.sweep(client, 60))


def run(store: Store, work: Callable[[redis.asyncio.Redis], Awaitable[Any]]) -> Any:
    """Runs work of the API, with a connection of its own."""

    async def connected() -> Any:
        async with redis.asyncio.Redis.from_url(store.url) as client:
            return await work(client)

    return asyncio.run(connected())


def claim(store: Store) -> str:
    """Takes the next message as a worker does. Returns the delivery, and '' if it was started, else why not."""
    taken: Any = store.client.rpop(keys.list_of(QUEUE))
    id = str(json.loads(taken)["headers"]["id"])
    started = scripts.run(store.client, scripts.start(QUEUE, id, "worker/1", keep=60, silent_s=0))
    if started == b"paused":
        scripts.run(store.client, scripts.enqueue(QUEUE, id, message(id)))
        return "paused"
    return id


def waiting(store: Store, model: str = MODEL) -> list[str]:
    members: Any = store.client.zrange(keys.paused_deliveries(model), 0, -1)
    return [member.decode() for member in members]


def queued(store: Store) -> list[str]:
    """The deliveries in the list, the next one first."""
    messages: Any = store.client.lrange(keys.list_of(QUEUE), 0, -1)
    return [str(json.loads(text)["headers"]["id"]) for text in reversed(messages)]


def in_queue(store: Store) -> int:
    """The length of the queue in jobs, as positions count it."""
    counts: Any = store.client.hgetall(keys.counts(QUEUE))
    return int(counts.get(b"entered", 0)) - int(counts.get(b"left", 0))


def test_a_job_of_a_paused_model_is_accepted_and_is_not_in_the_queue(store: Store) -> None:
    pause(store)
    sent = store.submit(jobs=2, model=MODEL)
    assert [store.job(id).state for id in sent.jobs] == [State.QUEUED, State.QUEUED]
    assert (store.messages(), waiting(store), in_queue(store)) == (0, [sent.id], 0)


def test_another_model_is_not_affected(store: Store) -> None:
    pause(store)
    sent = store.submit(model="other")
    assert queued(store) == [sent.id]
    assert claim(store) == sent.id


def test_what_was_in_the_queue_does_not_start_and_counts_no_attempt(store: Store) -> None:
    sent = store.submit(model=MODEL)
    pause(store)
    assert claim(store) == "paused"
    job = store.job(sent.jobs[0])
    assert (job.state, job.attempt, waiting(store), in_queue(store)) == (State.QUEUED, 0, [sent.id], 0)
    assert store.find_lost() == []


def test_what_waits_runs_once_after_the_model_is_resumed_in_the_order_of_submission(store: Store) -> None:
    first = store.submit(model=MODEL)
    pause(store)
    second = store.submit(jobs=2, model=MODEL)
    assert claim(store) == "paused"
    assert resume(store) == 2
    assert queued(store) == [first.id, second.id]
    left = int(store.client.hget(keys.counts(QUEUE), "left") or 0)
    assert [store.job(id).position - left for id in (*first.jobs, *second.jobs)] == [1, 2, 3]
    assert [claim(store), claim(store)] == [first.id, second.id]
    assert (in_queue(store), waiting(store), store.client.exists(keys.WAITING_MODELS)) == (0, [], 0)


def test_a_message_that_is_redelivered_is_kept_once(store: Store) -> None:
    sent = store.submit(model=MODEL)
    pause(store)
    claim(store)
    scripts.run(store.client, scripts.enqueue(QUEUE, sent.id, message(sent.id)))
    assert (waiting(store), in_queue(store)) == ([sent.id], 0)
    assert resume(store) == 1


def test_what_runs_when_its_model_is_paused_is_completed(store: Store) -> None:
    sent = store.submit(model=MODEL)
    assert claim(store) == sent.id
    pause(store)
    assert store.finish(sent, succeeded(sent.jobs[0])) == 0
    assert store.job(sent.jobs[0]).state is State.SUCCEEDED


def test_a_retry_waits_until_the_model_is_resumed(store: Store) -> None:
    sent = store.submit(model=MODEL)
    claim(store)
    pause(store)
    [again] = store.requeue(sent)
    assert (store.messages(), waiting(store)) == (0, [again.id])
    resume(store)
    assert claim(store) == again.id
    assert store.job(sent.jobs[0]).attempt == 2


def test_a_delayed_retry_waits_when_it_is_due(store: Store) -> None:
    sent = store.submit(model=MODEL)
    claim(store)
    [again] = store.requeue(sent, delay_s=0.001)
    pause(store)
    scripts.run(store.client, scripts.enqueue(QUEUE, again.id, message(again.id)))
    assert (waiting(store), store.client.zcard(keys.delayed(QUEUE))) == ([again.id], 0)


def test_work_of_a_worker_that_died_waits_and_keeps_its_attempts(store: Store) -> None:
    sent = store.submit(model=MODEL, attempts=2)
    claim(store)
    pause(store)
    scripts.run(store.client, scripts.enqueue(QUEUE, sent.id, message(sent.id)))
    assert waiting(store) == [sent.id]
    resume(store)
    assert claim(store) == sent.id
    assert store.job(sent.jobs[0]).attempt == 2


def test_what_is_in_the_backlog_waits_when_its_turn_comes(store: Store) -> None:
    first, second = (store.submit(model=MODEL, costs={"a": 1}) for _ in range(2))
    other = store.submit(model="other", costs={"a": 1})
    pause(store)
    # The worker takes the first one; then it is the turn of the second, which must not take the place of the other model.
    assert claim(store) == "paused"
    assert waiting(store) == [first.id, second.id]
    assert claim(store) == other.id


def test_a_paused_model_does_not_fill_the_queue_of_its_pool(store: Store) -> None:
    pause(store)
    store.submit(model=MODEL, max_queue=1)
    assert store.submit(model=MODEL, max_queue=1) == [b"paused", 1]
    assert isinstance(store.submit(model="other", max_queue=1), Delivery)


def test_a_paused_model_accepts_jobs_while_the_queue_of_its_pool_is_full(store: Store) -> None:
    pause(store)
    store.submit(model="other", max_queue=1)
    assert isinstance(store.submit(model=MODEL, max_queue=1), Delivery)


def test_a_job_that_its_concurrency_key_admits_waits_for_its_model(store: Store) -> None:
    gates = [concurrency.encode(Concurrency("k", 1, OnFull.QUEUE), "default", id, LIMITS) for id in ("one", "two")]
    one = store.submit(ids=("one",), concurrency=gates[0], model="other")
    two = store.submit(ids=("two",), concurrency=gates[1], model=MODEL)
    pause(store)
    store.finish(one, succeeded("one"))
    assert waiting(store) == [two.id]
    resume(store)
    assert two.id in queued(store)


def test_a_job_whose_deadline_passes_expires_and_leaves_nothing_that_waits(store: Store) -> None:
    pause(store)
    late, fresh = store.submit(wait_s=-1, model=MODEL), store.submit(model=MODEL)
    sweep(store)
    assert store.job(late.jobs[0]).state is State.EXPIRED
    assert waiting(store) == [fresh.id]


def test_a_cancelled_job_leaves_nothing_that_waits(store: Store) -> None:
    pause(store)
    sent = store.submit(model=MODEL)
    scripts.run(store.client, scripts.end_job(sent.jobs[0], State.CANCELLED, keep=60))
    sweep(store)
    assert (waiting(store), store.client.exists(keys.delivery(sent.id))) == ([], 0)


def test_a_cancelled_job_does_not_run_after_its_model_is_resumed(store: Store) -> None:
    pause(store)
    sent = store.submit(jobs=2, model=MODEL)
    scripts.run(store.client, scripts.end_job(sent.jobs[0], State.CANCELLED, keep=60))
    resume(store)
    assert store.start(sent) == [0, 1]


def test_deliveries_wait_while_their_model_is_paused(store: Store) -> None:
    pause(store)
    sent = store.submit(model=MODEL)
    assert (release(store), waiting(store)) == (0, [sent.id])


def test_many_deliveries_are_released(store: Store) -> None:
    pause(store)
    sent = [store.submit(model=MODEL, max_queue=1000).id for _ in range(250)]
    assert resume(store) == 250
    assert sorted(queued(store)) == sorted(sent)


def test_a_message_that_is_missing_is_made_again(store: Store) -> None:
    pause(store)
    sent = store.submit(model=MODEL)
    store.client.hdel(keys.delivery(sent.id), "message")
    resume(store)
    assert store.find_lost() == [sent.id]


def test_a_version_with_jobs_that_wait_is_in_use(store: Store) -> None:
    pause(store)
    store.submit(model=MODEL)
    assert model_references.versions(store.client, {}) == {"m@1": "a job that waits or runs"}


def test_a_record_that_cannot_be_read_pauses_its_model(store: Store) -> None:
    store.client.hset(keys.PAUSED_MODELS, MODEL, b"not json")
    assert model_pauses.read(store.client, MODEL) == ModelPause(None)
    assert run(store, model_pauses.read_all) == {MODEL: ModelPause(None)}


@pytest.mark.parametrize("rank", [1, 2])
def test_a_job_has_a_place_among_those_that_wait(store: Store, rank: int) -> None:
    pause(store)
    sent = sorted(store.submit(model=MODEL).id for _ in range(2))
    assert run(store, lambda client: model_pauses.place(client, MODEL, sent[rank - 1])) == rank
    assert run(store, lambda client: model_pauses.place(client, MODEL, "")) == 2
