"""What a batch does next, without a worker: its chunks are taken by hand. Whichever process looks, and however often, no row is lost or done twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis.asyncio

from app.broker import names
from app.broker.batches import BatchReconciler, plan_job
from app.core.batches import Batch, BatchSpec, Status
from app.core.deliveries import Delivery, Outcome
from app.core.errors import WorkerLost
from app.core.handlers import RESULT, as_tensor
from app.core.jobs import State
from app.settings import settings
from app.store import batches, jobs, keys, scripts

POOL = "default"
QUEUE = names.bulk(POOL)
ROWS = 40


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as found:
        yield found


@pytest.fixture
def conductor(client: redis.asyncio.Redis) -> BatchReconciler:
    async def cancel(id: str) -> None:
        await scripts.run_async(client, scripts.end_job(id, State.CANCELLED, keep=60))

    return BatchReconciler(client, settings(), lambda _: 4, cancel, lambda *_: None)


async def end(client: redis.asyncio.Redis, id: str, result: dict[str, Any] | WorkerLost) -> None:
    """A worker takes the job and ends it."""
    job = await jobs.read(client, id)
    assert job is not None
    started = await scripts.run_async(client, scripts.start(QUEUE, job.delivery, "worker", keep=60, silent_s=60))
    body, _, attempt = started
    delivery = Delivery.unpack(body)
    outcome = (
        Outcome(id, error=result, attempt=attempt)
        if isinstance(result, WorkerLost)
        else Outcome(id, [as_tensor(RESULT, result)], attempt=attempt)
    )
    await scripts.run_async(client, scripts.finish(QUEUE, delivery, [outcome], keep=60, keep_dead=60, max_dead=10))


async def created(client: redis.asyncio.Redis, id: str, owner: str = "", **more: Any) -> None:
    order = BatchSpec("m", "1", POOL, "predict", {"path": "rows.csv"}, owner=owner, **more)
    assert await batches.create(client, id, order, time.time(), 10)


async def planned(client: redis.asyncio.Redis, conductor: BatchReconciler, id: str, rows: int = ROWS) -> None:
    await conductor.reconcile(id)
    await end(client, f"{id}-plan-0", {"rows": rows, "step": 1})
    await conductor.reconcile(id)


async def begun(client: redis.asyncio.Redis, conductor: BatchReconciler, id: str, owner: str = "", rows: int = ROWS, **more: Any) -> None:
    await created(client, id, owner, **more)
    await planned(client, conductor, id, rows)


async def out(client: redis.asyncio.Redis) -> list[str]:
    return await batches.out(client, POOL)


def done(chunk: str, rows: int | None = None) -> dict[str, Any]:
    count = int(chunk.split("-")[2]) if rows is None else rows
    return {"rows": count, "completed": count, "failed": 0, "seconds": 1.0, "slice": 1, "call_s": 1.0}


async def read(client: redis.asyncio.Redis, id: str) -> Batch:
    found = await batches.read(client, id)
    assert found is not None
    return found


async def run(client: redis.asyncio.Redis, conductor: BatchReconciler, id: str, result: Callable[[str], Any] = done) -> list[str]:
    """Until every chunk has ended; the names of all, in the order in which they were taken."""
    taken: list[str] = []
    while waiting := await out(client):
        taken.append(waiting[0])
        await end(client, waiting[0], result(waiting[0]))
        await conductor.reconcile(id)
        assert len(taken) < 500
    return taken


async def test_every_row_is_in_one_part_though_several_look_at_once(client: redis.asyncio.Redis, conductor: BatchReconciler) -> None:
    await begun(client, conductor, "batch_a")
    assert len(await out(client)) == 4
    while waiting := await out(client):
        for chunk in waiting[:2]:
            await end(client, chunk, done(chunk))
        await asyncio.gather(*(conductor.reconcile("batch_a") for _ in range(5)))
        assert len(await out(client)) <= 4
    found = await batches.parts(client, "batch_a")
    assert [row for part in found for row in range(part.first, part.first + part.count)] == list(range(ROWS))
    batch = await read(client, "batch_a")
    assert (batch.status, batch.completed, batch.failed) == (Status.FINALIZING, ROWS, 0)


async def test_what_a_chunk_leaves_over_is_done_by_others(client: redis.asyncio.Redis, conductor: BatchReconciler) -> None:
    await begun(client, conductor, "batch_a")
    await run(client, conductor, "batch_a", lambda chunk: done(chunk, rows=1))
    assert [(part.first, part.count) for part in await batches.parts(client, "batch_a")] == [(at, 1) for at in range(ROWS)]


async def test_a_chunk_begins_with_the_pace_of_the_one_before(client: redis.asyncio.Redis, conductor: BatchReconciler) -> None:
    await begun(client, conductor, "b")
    first, *_ = await out(client)
    await end(client, first, done(first, 3) | {"slice": 64, "call_s": 0.25})
    await conductor.reconcile("b")
    batch = await batches.read(client, "b")
    assert batch is not None
    assert (batch.slice, batch.call_s) == (64, 0.25)


async def test_a_row_that_no_worker_survives_fails_alone(client: redis.asyncio.Redis, conductor: BatchReconciler) -> None:
    def result(chunk: str) -> Any:
        _, first, count, _ = chunk.split("-")
        return WorkerLost("it died") if int(first) <= 17 < int(first) + int(count) else done(chunk)

    await begun(client, conductor, "batch_a")
    await run(client, conductor, "batch_a", result)
    batch = await read(client, "batch_a")
    assert (batch.status, batch.completed, batch.failed) == (Status.FINALIZING, ROWS - 1, 1)
    [lost] = [part for part in await batches.parts(client, "batch_a") if part.failed]
    assert (lost.first, lost.count, lost.error) == (17, 1, {"code": "worker_lost", "detail": "it died"})


async def test_the_next_reconciler_submits_a_chunk_that_was_released_and_never_submitted(
    client: redis.asyncio.Redis, conductor: BatchReconciler
) -> None:
    await begun(client, conductor, "batch_a")
    chunk = (await out(client))[0]
    await client.delete(keys.job(chunk))
    await conductor.reconcile("batch_a")
    assert await jobs.read(client, chunk) is not None


async def test_owners_take_turns(client: redis.asyncio.Redis, conductor: BatchReconciler) -> None:
    for id in ("batch_a1", "batch_a2", "batch_b1"):
        await created(client, id, owner=id[6])
        await conductor.reconcile(id)
    for id in ("batch_a1", "batch_a2", "batch_b1"):
        await planned(client, conductor, id, rows=4000)
    taken = []
    for _ in range(24):
        waiting = await out(client)
        taken.append(waiting[0])
        await end(client, waiting[0], done(waiting[0], rows=1))
        await conductor.reconcile(waiting[0].partition("-")[0])
    later = [chunk.partition("-")[0] for chunk in taken[4:]]
    assert (later.count("batch_b1"), later.count("batch_a1") + later.count("batch_a2")) == (10, 10)


async def test_no_more_batches_than_allowed(client: redis.asyncio.Redis) -> None:
    order = BatchSpec("m", "1", POOL, "predict", {"path": "rows.csv"})
    assert [await batches.create(client, f"batch_{at}", order, time.time(), 2) for at in range(3)] == [True, True, False]


async def test_a_batch_that_is_cancelled_gives_its_chunks_back_and_can_be_resumed(
    client: redis.asyncio.Redis, conductor: BatchReconciler
) -> None:
    await begun(client, conductor, "batch_a")
    first = (await out(client))[0]
    await end(client, first, done(first))
    change = batches.Change((Status.IN_PROGRESS,), set={"outcome": Status.CANCELLED}, status=Status.CANCELLING)
    assert await batches.apply(client, "batch_a", POOL, change)
    for _ in range(2):
        await conductor.reconcile("batch_a")
    assert await out(client) == []
    await end(client, "batch_a-assembly-0", {"output_file": "file-o", "error_file": ""})
    await conductor.reconcile("batch_a")
    batch = await read(client, "batch_a")
    assert (batch.status, batch.output_file, batch.completed) == (Status.CANCELLED, "file-o", int(first.split("-")[2]))
    again = batches.Change((Status.CANCELLED,), set={"round": 1, "outcome": ""}, status=Status.IN_PROGRESS)
    assert await batches.apply(client, "batch_a", POOL, again)
    await conductor.reconcile("batch_a")
    await run(client, conductor, "batch_a")
    assert (await read(client, "batch_a")).completed == ROWS


async def test_a_batch_that_is_cancelled_before_it_began_ends(client: redis.asyncio.Redis, conductor: BatchReconciler) -> None:
    order = BatchSpec("m", "1", POOL, "predict", {"path": "rows.csv"})
    await batches.create(client, "batch_a", order, time.time(), 10)
    await conductor.reconcile("batch_a")
    await batches.apply(client, "batch_a", POOL, batches.Change((Status.VALIDATING,), status=Status.CANCELLING))
    await conductor.reconcile("batch_a")
    assert (await read(client, "batch_a")).status is Status.CANCELLED
    job = await jobs.read(client, plan_job(await read(client, "batch_a")))
    assert job is not None
    assert job.state is State.CANCELLED


async def test_plans_never_take_every_process(client: redis.asyncio.Redis, conductor: BatchReconciler) -> None:
    ids = [f"batch_{at}" for at in range(6)]
    for id in ids:
        await created(client, id)
    await asyncio.gather(*(conductor.reconcile(id) for id in ids for _ in range(3)))
    assert await out(client) == ["batch_0-plan-0", "batch_1-plan-0", "batch_2-plan-0"]
    assert await client.llen(keys.list_of(QUEUE)) == 3


async def test_plans_and_chunks_together_are_no_more_than_the_processes(client: redis.asyncio.Redis, conductor: BatchReconciler) -> None:
    await begun(client, conductor, "batch_a", rows=4000)
    for at in range(6):
        await created(client, f"batch_{at}")
        await conductor.reconcile(f"batch_{at}")
    assert [name.split("-")[0] for name in await out(client)] == ["batch_a"] * 4
    # A new batch is planned as soon as one chunk has ended: a bad file is refused soon, however long the others take.
    [first, *_] = await out(client)
    await end(client, first, done(first))
    await conductor.reconcile("batch_a")
    names_out = await out(client)
    assert (len(names_out), names_out[-1]) == (4, "batch_0-plan-0")


async def test_a_plan_that_gives_way_is_continued_and_lets_chunks_of_others_run(client: redis.asyncio.Redis, redis_url: str) -> None:
    alone = BatchReconciler(client, settings(), lambda _: 1, lambda id: asyncio.sleep(0), lambda *_: None)
    await begun(client, alone, "batch_a", rows=4000)
    await created(client, "batch_b")
    await alone.reconcile("batch_b")
    taken = []
    for _ in range(9):
        [name] = await out(client)
        taken.append(name)
        await end(client, name, {"more": True} if "plan" in name else done(name))
        await alone.reconcile(name.split("-")[0])
    assert [name for name in taken if "plan" in name] == ["batch_b-plan-0", *(f"batch_b-plan-0-{at}" for at in range(1, 4))]
    assert ["plan" in name for name in taken] == [False, True] * 4 + [False]
    assert (await read(client, "batch_b")).status is Status.VALIDATING


async def test_the_next_reconciler_submits_a_plan_that_was_released_and_never_submitted(
    client: redis.asyncio.Redis, conductor: BatchReconciler
) -> None:
    await created(client, "batch_a")
    await conductor.reconcile("batch_a")
    await client.delete(keys.job("batch_a-plan-0"))
    await conductor.reconcile("batch_a")
    assert await jobs.read(client, "batch_a-plan-0") is not None


async def test_a_batch_that_is_cancelled_while_its_plan_waits_for_a_process_ends(client: redis.asyncio.Redis) -> None:
    async def never(id: str) -> None:
        raise AssertionError(f"{id} was never submitted")

    alone = BatchReconciler(client, settings(), lambda _: 1, never, lambda *_: None)
    for id in ("batch_a", "batch_b"):
        await created(client, id)
        await alone.reconcile(id)
    await batches.apply(client, "batch_b", POOL, batches.Change((Status.VALIDATING,), status=Status.CANCELLING))
    await alone.reconcile("batch_b")
    assert (await read(client, "batch_b")).status is Status.CANCELLED
    assert await out(client) == ["batch_a-plan-0"]
