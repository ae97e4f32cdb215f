"""Which versions of a model stay: on a real Redis with what really waits there."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.exceptions import RedisError

from app.broker import names, submission
from app.broker.retention import Retention
from app.core.audit import Action, draft
from app.core.batches import BatchSpec, Status
from app.core.errors import ModelConflict
from app.core.jobs import State
from app.registry.pipelines import Pipelines
from app.registry.repository import Repository
from app.services.requests.schedules import Creation
from app.settings import settings
from app.store import batches, jobs, pipelines, schedules, scripts
from tests.registry.conftest import write

pytestmark = pytest.mark.slow


@pytest.fixture
def retention(redis_url: str, tmp_path: Path) -> Iterator[Retention]:
    """Of digits, with the versions 1 to 6, and production at 4."""
    repository = Repository(tmp_path / "models")
    for _ in range(6):
        repository.publish("digits", write)
    repository.promote("digits", "production", "4")
    with redis.Redis.from_url(redis_url) as client:
        yield Retention(repository, Pipelines(tmp_path / "pipelines"), client)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as found:
        yield found


def pruned(retention: Retention, keep: int = 1) -> list[str]:
    """What was removed; what is left agrees."""
    before = retention.repository.versions("digits")
    planned, removed = retention.prune("digits", keep, dry_run=True), retention.prune("digits", keep)
    assert planned == removed
    assert retention.repository.versions("digits") == [one for one in before if one not in removed]
    return removed


def refused(retention: Retention, version: str) -> str:
    with pytest.raises(ModelConflict) as reported:
        retention.remove("digits", version)
    assert version in retention.repository.versions("digits")
    return reported.value.detail


@pytest.mark.parametrize(("keep", "removed"), [(0, []), (1, ["1", "2", "3", "5"]), (2, ["1", "2", "3"]), (5, ["1"]), (9, [])])
def test_the_newest_stay_and_what_an_alias_points_to(retention: Retention, keep: int, removed: list[str]) -> None:
    assert pruned(retention, keep) == removed


def test_what_is_spared_stays(retention: Retention) -> None:
    assert retention.prune("digits", 1, spared=["2"]) == ["1", "3", "5"]


def test_a_dry_run_removes_nothing(retention: Retention) -> None:
    assert retention.prune("digits", 3, dry_run=True) == ["1", "2", "3"]
    assert retention.repository.versions("digits") == ["1", "2", "3", "4", "5", "6"]


async def test_a_version_that_a_job_waits_for_stays_until_that_has_ended(retention: Retention, client: redis.asyncio.Redis) -> None:
    id, _ = await submission.submit(
        client, settings(), submission.Submission("chunk", {}, names.bulk("default"), id="j1", subject=("digits", "2"), limit_s=9)
    )
    assert "a job that waits or runs" in refused(retention, "2")
    assert pruned(retention) == ["1", "3", "5"]
    job = await jobs.read(client, id)
    assert job is not None
    await scripts.run_async(client, scripts.start(names.bulk("default"), job.delivery, "w", keep=60, silent_s=60))
    assert pruned(retention) == []
    await scripts.run_async(client, scripts.end_job(id, State.CANCELLED, keep=60))
    await client.delete(f"celeriac:delivery:{job.delivery}")
    assert pruned(retention) == ["2"]


async def test_a_version_that_a_batch_asks_stays_until_that_has_ended(retention: Retention, client: redis.asyncio.Redis) -> None:
    assert await batches.create(client, "b1", BatchSpec("digits", "3", "default", "predict", {"path": "a.csv"}), time.time(), 10)
    assert "the batch b1" in refused(retention, "3")
    assert pruned(retention) == ["1", "2", "5"]
    await batches.apply(client, "b1", "default", batches.Change((Status.VALIDATING,), status=Status.FAILED))
    assert pruned(retention) == ["3"]


async def test_a_version_that_the_run_of_a_pipeline_asks_stays(retention: Retention, client: redis.asyncio.Redis) -> None:
    plan: dict[str, Any] = {"name": "p", "targets": {"a": ["default", "digits", "1"], "b": ["default", "", ""]}}
    assert await pipelines.begin(client, "r1", b"[]", plan, b"", expires_s=60, ttl=60)
    assert "the run r1 of a pipeline" in refused(retention, "1")
    assert pruned(retention) == ["2", "3", "5"]


async def test_versions_that_a_schedule_names_stay(retention: Retention, client: redis.asyncio.Redis) -> None:
    training = {"model": "digits", "promote_if": {"accuracy": {"not_worse_than": "1"}}}
    for name, run in {"ask": {"batch": {"model": "digits@2", "input": "a.csv"}}, "train": {"training": training}}.items():
        schedule = Creation.parse({"name": name, "every_s": 60, "run": run}).checked(time.time())
        await schedules.create(client, schedule.name, schedule, draft(Action.SCHEDULE_CREATED), paused=True, most=10)
    assert "the schedule 'ask'" in refused(retention, "2")
    assert pruned(retention) == ["3", "5"]
    await schedules.delete(client, "ask", draft(Action.SCHEDULE_DELETED))
    assert pruned(retention) == ["2"]


def test_a_version_that_a_pipeline_names_stays(retention: Retention) -> None:
    retention.pipelines.publish("triage", "steps: {a: {model: digits@5, inputs: [[1]]}}\noutput: $a")
    assert "the pipeline 'triage'" in refused(retention, "5")
    assert pruned(retention) == ["1", "2", "3"]


def test_nothing_is_removed_where_redis_does_not_tell(retention: Retention) -> None:
    away = Retention(retention.repository, retention.pipelines, redis.Redis(port=1))
    with pytest.raises(RedisError):
        away.prune("digits", 1)
    with pytest.raises(RedisError):
        away.remove("digits", "1")
    assert len(retention.repository.versions("digits")) == 6
