"""Rows that the direct lane has answered are counted after their answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import redis.asyncio

from app.core.models import Manifest, TensorSpec
from app.core.observations import Observations
from app.core.profiles import ColumnProfile, Profile
from app.core.tensors import Tensor, encode
from app.direct.marks import Marks
from app.direct.observing import ObservationRecorder
from app.direct.version import DirectVersion
from app.loops import Loop
from app.store import live_counts

SPEC = TensorSpec("x", "FP64", (-1,))
COLUMN = ColumnProfile("x", 0, "x", 0, counts=(5,), edges=(0.0, 1.0))
MANIFEST = Manifest("m", "1", "onnx", "model.onnx", "0" * 64, (SPEC,), (SPEC,), profile=Profile((COLUMN,), ()))


class Same:
    """A model that answers its inputs."""

    def predict(self, inputs: Sequence[Tensor], outputs: Sequence[str] = ()) -> list[Tensor]:
        return [replace(tensor, name="y") for tensor in inputs]


def tensor(*values: float) -> list[Tensor]:
    return [Tensor("x", "FP64", (len(values),), encode(values, "FP64"))]


async def test_rows_of_joined_requests_are_counted(redis_url: str, tmp_path: Path) -> None:
    observations, marks = Observations(10_000), Marks(tmp_path, "test")
    version = DirectVersion(MANIFEST, Same(), marks, 0, 64, 60_000, observations=observations)
    await asyncio.gather(version.predict(tensor(0.5, 2.0), ("y",)), version.predict(tensor(-1.0), ("y",)))
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        await ObservationRecorder(client, observations, 10, Loop("observations")).flush()
        assert (await live_counts.read(client, MANIFEST, time.time()))[0][0] == [0, 1, 1, 1]
    marks.close()
