"""Rows that a process has answered are counted, and what cannot be counted is dropped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis
import redis.asyncio
from prometheus_client import REGISTRY

from app.core.deliveries import Outcome
from app.core.errors import PredictionFailed
from app.core.models import Manifest, TensorSpec
from app.core.profiles import ColumnProfile, Profile
from app.core.tensors import Tensor, encode
from app.settings import Settings
from app.store import live_counts
from app.worker.observing import Observer
from tests.store.conftest import delivery, succeeded

PROFILE = Profile(
    (ColumnProfile("x", 0, "x", 0, counts=(5,), edges=(0.0, 1.0)),),
    (ColumnProfile("predict", 0, "predict", 0, counts=(5, 0), categories=(1,)),),
)
SPECS = (TensorSpec("x", "FP64", (-1, 1)),), (TensorSpec("predict", "INT64", (-1,)),)
MANIFEST = Manifest("m", "1", "onnx", "model.onnx", "0" * 64, *SPECS, profile=PROFILE)
SENT = replace(delivery(("a", "b")), inputs=[Tensor("x", "FP64", (2, 1), encode([0.5, 7.0], "FP64"))])


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def counted(url: str) -> list[int]:
    async def read() -> list[int]:
        async with redis.asyncio.Redis.from_url(url) as client:
            return (await live_counts.read(client, MANIFEST, time.time()))[0][0]

    return asyncio.run(read())


def left_out() -> float:
    return REGISTRY.get_sample_value("celeriac_drift_rows_left_out_total") or 0.0


def test_a_process_counts_inputs_and_outputs_until_it_ends(client: redis.Redis, redis_url: str) -> None:
    observer = Observer(Settings(), lambda: client)
    observer.start()
    for _ in range(3):
        observer.observe(MANIFEST, SENT, [succeeded("a", 1), succeeded("b", 2)])
    observer.stop()
    assert counted(redis_url) == [0, 0, 3, 3, 0, 3, 3]


def test_a_delivery_with_a_job_that_failed_is_not_counted(client: redis.Redis, redis_url: str) -> None:
    observer = Observer(Settings(), lambda: client)
    observer.observe(MANIFEST, SENT, [succeeded("a"), Outcome("b", error=PredictionFailed("it raised"))])
    observer.flush()
    assert set(counted(redis_url)) == {0}


@pytest.mark.parametrize("settings", [{"drift_max_versions": 0}, {"drift_buffer_bytes": 1024}], ids=["turned off", "no space"])
def test_nothing_is_kept_without_permission_or_space(client: redis.Redis, redis_url: str, settings: dict[str, Any]) -> None:
    observer, before = Observer(Settings(**settings), lambda: client), left_out()
    many = replace(SENT, inputs=[Tensor("x", "FP64", (1000, 1), bytes(8000))])
    observer.observe(MANIFEST, many, [succeeded("a")])
    observer.flush()
    assert set(counted(redis_url)) == {0}
    assert left_out() - before == (1000 if "drift_buffer_bytes" in settings else 0)


def test_rows_are_dropped_while_redis_does_not_answer() -> None:
    def unavailable() -> redis.Redis:
        raise redis.ConnectionError("it is gone")

    observer, before = Observer(Settings(), unavailable), left_out()
    observer.observe(MANIFEST, SENT, [succeeded("a"), succeeded("b")])
    observer.flush()
    assert left_out() - before == 2
