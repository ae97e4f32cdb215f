"""Trainings and the branches of pipelines take turns between owners, as predictions do: an owner with few waits for few of another one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.store import keys, scripts
from app.store.pipelines import part
from tests.api.conftest import Worker, until
from tests.api.keys import bootstrap
from tests.api.owners import Owner, Owners, owned

pytestmark = pytest.mark.slow

PIPELINE = """
inputs: [rows]
steps:
  cultivar: {model: wine, each: $inputs.rows, inputs: [$item]}
output: $cultivar
"""
TRAINING = {"trainer": "ridge", "dataset": "rows.csv", "target": "y", "model": "fresh"}
MANY = 20
FEW = 2


@pytest.fixture
async def owners(configured: pytest.MonkeyPatch, wine: dict[str, Any], tmp_path: Path) -> AsyncIterator[Owners]:
    (tmp_path / "rows.csv").write_text("x,y\n1,2\n2,3\n")
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "cultivars.yaml").write_text(PIPELINE)
    async with owned(configured, wine, file_roots=str(tmp_path), pipelines=str(tmp_path / "pipelines")) as made:
        yield made


def started(worker: Worker, queue: str) -> list[str]:
    """The owners of the deliveries of a queue, in the order in which a worker starts them."""
    order = []
    while message := worker.client.rpop(keys.list_of(queue)):
        id = orjson.loads(message)["headers"]["id"]  # type: ignore[arg-type]
        scripts.run(worker.client, scripts.start(queue, id, worker.name, keep=60, silent_s=0))
        jobs: Any = worker.client.hget(keys.delivery(id), "jobs")
        owner: Any = worker.client.hget(keys.job(jobs.decode()), "owner")
        order.append(owner.decode())
    return order


async def submitted(worker: Worker, run: str, branches: int) -> bool:
    records = [keys.job(part(run, "cultivar", branch)) for branch in range(branches)]
    return bool(worker.client.exists(*records) == branches)


async def test_an_owner_with_few_trainings_waits_for_few_of_another_one(owners: Owners, worker: Worker) -> None:
    for name, count in (("a", MANY), ("b", FEW)):
        _, text = await bootstrap(owner=name, scopes=["train"])
        for _ in range(count):
            await Owner(owners.a.api, text, owners.a.wine)("POST", "/v1/trainings", 202, json=TRAINING)
    order = started(worker, "training.bulk")
    assert sorted(order) == ["a"] * MANY + ["b"] * FEW
    assert "b" not in order[2 * FEW + 2 :]


async def test_an_owner_with_few_branches_waits_for_few_of_another_one(owners: Owners, worker: Worker) -> None:
    for owner, count in ((owners.a, MANY), (owners.b, FEW)):
        run = await owner("POST", "/v1/jobs", 202, json={"pipeline": "cultivars", "inputs": {"rows": [owners.a.wine] * count}})
        await until(partial(submitted, worker, run["id"], count), "every branch is submitted")
    order = started(worker, "default.bulk")
    assert sorted(order) == ["a"] * MANY + ["b"] * FEW
    assert "b" not in order[2 * FEW + 2 :]
