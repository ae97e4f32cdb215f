"""Which model versions are in use: by queued or running jobs, by batches, pipeline runs and schedules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import redis

from app.core import callers, gates
from app.core.models import references
from app.core.pipelines import PIPELINE
from app.store import batches, keys, pipelines, records, schedules

_AT_ONCE: Final = 1000


def versions(client: redis.Redis, pools: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return what uses each `name@version`, as words for a message.

    Args:
        client: A connection to Redis.
        pools: The pools whose jobs and batches are read, each with its queues.
    """
    queues = (queue for lanes in pools.values() for queue in lanes)
    return dict(chain(_of_jobs(client, queues), _of_batches(client, pools), _of_pipeline_runs(client), _of_schedules(client)))


def _of_jobs(client: redis.Redis, queues: Iterable[str]) -> Iterator[tuple[str, str]]:
    for deliveries in chain(_in_queues(client, queues), _of_paused_models(client)):
        for ids in _portions(deliveries):
            # All jobs of a delivery use the same version.
            jobs = _fields(client, [keys.delivery(id.decode()) for id in ids], "jobs")
            first = [text.partition(b" ")[0].decode() for text in jobs if text]
            for spec in _fields(client, [keys.job(id) for id in first], "spec"):
                if spec:
                    yield _reference(*records.model_of(spec)), "a job that waits or runs"


def _in_queues(client: redis.Redis, queues: Iterable[str]) -> Iterator[Any]:
    for queue in queues:
        deliveries: Any = client.zrange(keys.deliveries(queue), 0, -1)
        deliveries += client.hkeys(keys.backlog(queue))
        deliveries += client.hkeys(keys.held_back(queue))
        yield deliveries


def _of_paused_models(client: redis.Redis) -> Iterator[Any]:
    models: Any = client.smembers(keys.WAITING_MODELS)
    for model in models:
        yield client.zrange(keys.paused_deliveries(model.decode()), 0, -1)


def _of_batches(client: redis.Redis, pools: Iterable[str]) -> Iterator[tuple[str, str]]:
    for pool in pools:
        active: Any = client.zrange(keys.batches_active(pool), 0, -1)
        for members in _portions(active):
            ids = [member.decode() for member in members]
            for id, spec in zip(ids, _fields(client, [keys.batch(id) for id in ids], "order"), strict=True):
                if spec:
                    yield _reference(*batches.model_of(spec)), _user(f"the batch {id}", "a batch")


def _of_pipeline_runs(client: redis.Redis) -> Iterator[tuple[str, str]]:
    # Every run that has not ended waits to be reconciled.
    waiting: Any = client.zrange(keys.RECONCILE, 0, -1)
    for parents in _portions(waiting):
        ids = [id for kind, _, id in (parent.decode().partition(":") for parent in parents) if kind == PIPELINE]
        for id, plan in zip(ids, _fields(client, [keys.pipeline(id) for id in ids], "plan"), strict=True):
            if plan:
                for name, version in pipelines.models_of(plan):
                    yield _reference(name, version), _user(f"the run {id} of a pipeline", "a pipeline run")


def _of_schedules(client: redis.Redis) -> Iterator[tuple[str, str]]:
    entries: Any = client.zrange(keys.SCHEDULES, 0, -1)
    for members in _portions(entries):
        for definition in _fields(client, [member.decode() for member in members], "definition"):
            if not definition:
                continue
            name, request = schedules.request_of(definition)
            user = _user(f"the schedule {name!r}", "a schedule")
            for reference in references(request):
                yield reference, user
            for version in gates.named(request.get("promote_if") or {}):
                yield _reference(request["model"], version), user


def _user(named: str, unnamed: str) -> str:
    """Return words for a message. A caller who does not see everything must not learn the names of what others have."""
    return named if callers.only_owner() is None else unnamed


def _reference(name: str, version: str) -> str:
    return f"{name}@{version}"


def _fields(client: redis.Redis, hashes: Iterable[str], field: str) -> list[Any]:
    with client.pipeline(transaction=False) as pipe:
        for key in hashes:
            pipe.hget(key, field)
        return list(pipe.execute())


def _portions(members: list[bytes]) -> Iterator[list[bytes]]:
    for first in range(0, len(members), _AT_ONCE):
        yield members[first : first + _AT_ONCE]
