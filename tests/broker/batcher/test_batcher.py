"""Whatever travels together, and whatever happens on the way: no caller ever gets another's answer."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

import numpy as np
import pytest
import redis
import redis.asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator

from app.broker import names
from app.broker.batcher.batcher import Batcher
from app.broker.eta import StartEstimate
from app.broker.fair_share import FairShare
from app.broker.replies import Replies
from app.core.deliveries import Delivery, Outcome, pack_reply
from app.core.jobs import State
from app.core.models import BatchLimits, Manifest, TensorSpec
from app.core.stats import Collector, Figures, Series
from app.core.tensors import Tensor, decode, encode
from app.data.figures import add
from app.runtime.model import Model
from app.settings import settings as known
from app.store import deliveries, keys, scripts, stats
from app.store.stats import SeriesIndex
from app.worker import requeue, tasks
from app.worker.claim import Claim
from app.worker.models import Models
from app.worker.pool_process import PoolProcess
from tests.examples import expensive

MANIFEST: Final = Manifest(
    "echo", "1", "joblib", "model.joblib", "", (TensorSpec("x", "FP64", (-1, 1)),), (TensorSpec("predict", "FP64", (-1,)),)
)
QUEUE: Final = names.interactive(MANIFEST.pool)
LIMIT_S: Final = 30.0
NOTHING: Final = Delivery("none", "echo", "1", (), "api", False, (), (), [])


class Echo(BaseEstimator):  # type: ignore[misc]
    """Answers a row with its value, and fails where one is negative."""

    def predict(self, data: Any) -> Any:
        if (data < 0).any():
            raise ValueError("a negative value")
        return np.asarray(data)[:, 0]


@dataclass(frozen=True)
class Caller:
    """`poisoned`: its rows make a joint call fail. `recorded`: it submits a job. `leaves`: it hangs up at once."""

    rows: int
    poisoned: bool
    recorded: bool
    leaves: bool

    def values(self, number: int) -> list[float]:
        found = [number + at / 8 for at in range(self.rows)]
        return [-1.0, *found[1:]] if self.poisoned else found


CALLERS: Final = st.lists(
    st.builds(
        Caller, st.integers(1, 4), st.sampled_from([False, False, True]), st.booleans(), st.sampled_from([False, False, False, True])
    ),
    min_size=1,
    max_size=24,
)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.mark.slow
@settings(max_examples=expensive(60), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(callers=CALLERS, most=st.integers(1, 8), slots=st.integers(1, 3), seed=st.integers(0, 1 << 32))
def test_every_caller_gets_its_own_answer(client: redis.Redis, callers: list[Caller], most: int, slots: int, seed: int) -> None:
    client.flushall()
    asyncio.run(_exchange(client, callers, most, slots, Random(seed)))


async def _exchange(client: redis.Redis, callers: list[Caller], most: int, slots: int, choices: Random) -> None:
    manifest = replace(MANIFEST, batch=BatchLimits(max_rows=most, max_wait_ms=1))
    async with redis.asyncio.Redis(port=client.connection_pool.connection_kwargs["port"]) as pool:
        # Two owners, so that deliveries wait in the backlog too.
        fair_share = FairShare(known().model_copy(update={"auth": "keys"}), lambda _: slots)
        collector = Collector()
        coalescer = Batcher(
            pool, "api", known(), lambda _: slots, lambda: "", StartEstimate(), lambda _: None, fair_share, SeriesIndex(pool, 1), collector
        )
        replies = Replies(pool, "api", coalescer.finish)
        listening = asyncio.create_task(replies.run())
        # Whoever is subscribed is told that nothing ended.
        while not client.publish(keys.reply("api"), b" 0\n" + pack_reply(NOTHING, [])):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        asked = [
            asyncio.create_task(_ask(coalescer, manifest, one.values(number), one.recorded, "ab"[number % 2]))
            for number, one in enumerate(callers)
        ]
        await asyncio.sleep(0)
        for one, task in zip(callers, asked, strict=True):
            if one.leaves:
                task.cancel()
        working = asyncio.create_task(_work(client, choices))
        async with asyncio.timeout(60):
            answers = await asyncio.gather(*asked, return_exceptions=True)
            # What the others asked who have left is answered too.
            while coalescer._sent or any(group.waiting for group in coalescer._groups.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            await asyncio.gather(*coalescer._tasks)
        for task in (working, listening):
            task.cancel()
        await asyncio.gather(working, listening, return_exceptions=True)
        await _counted_once(pool, collector, callers)
    for number, (one, answer) in enumerate(zip(callers, answers, strict=True)):
        if one.leaves:
            continue
        assert isinstance(answer, Outcome), answer
        if one.poisoned:
            assert answer.error is not None
            assert answer.error.code == "prediction_failed"
        else:
            assert [decode(output.data, "FP64") for output in answer.outputs] == [one.values(number)]


async def _counted_once(pool: redis.asyncio.Redis, collector: Collector, callers: list[Caller]) -> None:
    """Every job is in the figures once: those with records in the store, the others in the process that they were sent to."""
    now = int(time.time()) // 86400 * 86400
    chunks = await stats.read(pool, [Series.of(MANIFEST)], now - 86400, now + 86400, 86400)
    stored = Figures(add(chunks, [0])[0].sum(axis=0).tolist())
    here = [*collector.take().values()]
    recorded = sum(one.recorded for one in callers)
    assert (stored.submitted, sum(collected.submitted for collected in here)) == (recorded, len(callers) - recorded)
    figures = Figures([sum(lanes) for lanes in zip(stored.lanes, *(collected.lanes for collected in here), strict=True)])
    assert sum(figures.ended(state) for state in State if state.final) == len(callers)
    left = sum(one.leaves and not one.recorded for one in callers)
    assert figures.ended(State.CANCELLED) == left
    answered = [one for one in callers if one.recorded or not one.leaves]
    assert figures.ended(State.FAILED) == sum(one.poisoned for one in answered)
    assert figures.rows == sum(one.rows for one in answered if not one.poisoned)


async def _ask(coalescer: Batcher, manifest: Manifest, values: list[float], recorded: bool, owner: str) -> Outcome | None:
    inputs = [Tensor("x", "FP64", (len(values), 1), encode(values, "FP64"))]
    if not recorded:
        return await coalescer.predict(manifest, inputs, ("predict",), 20, owner=owner)
    item, _ = await coalescer.submit(manifest, inputs, ("predict",), 20, owner=owner)
    return await item.outcome


async def _work(client: redis.Redis, choices: Random) -> None:
    """A worker that takes the deliveries in any order, and finds now and then that one killed the worker before it."""
    held: list[bytes] = []
    while True:
        await asyncio.sleep(0.001)
        while message := client.rpop(keys.list_of(QUEUE)):
            held.append(message)  # type: ignore[arg-type]
        if held:
            _run(client, held.pop(choices.randrange(len(held))), again_after_a_death=choices.random() < 0.2)


def _process(client: redis.Redis) -> PoolProcess:
    """A process that holds the model."""
    models = Models(known())
    models.loaded[MANIFEST.key] = Model(MANIFEST, Echo())
    return PoolProcess(models, {}, client=client)


def _run(client: redis.Redis, message: bytes, *, again_after_a_death: bool) -> None:
    [id, body], _, _ = json.loads(base64.b64decode(json.loads(message)["body"]))
    if body is not None:
        delivery, _ = requeue.read_delivery(deliveries.carried(client, id, body) or b"")
        attempts, started_at = [2 if again_after_a_death else 1] * len(delivery.jobs), 0.0
    else:
        call = scripts.start(QUEUE, id, "worker", keep=60, silent_s=0)
        if again_after_a_death:
            scripts.run(client, call)
        packed, now, *attempts = scripts.run(client, call)
        (delivery, _), started_at = requeue.read_delivery(packed), float(now)
    tasks.execute(_process(client), Claim(QUEUE, delivery, attempts, started_at, LIMIT_S))
